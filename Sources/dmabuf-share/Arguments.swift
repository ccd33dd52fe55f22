// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufModel
import DMABufSystem

/// A size in bytes as people write it: "4096", "64K", "8M", "1G", with or without "iB".
struct ByteCount: ExpressibleByArgument {
    let value: UInt64

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits) else { return nil }
        let units: [String: UInt64] = ["": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
        var suffix = argument.dropFirst(digits.count).uppercased()
        if suffix.hasSuffix("IB") { suffix.removeLast(2) }
        guard let unit = units[suffix], number > 0 else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        guard !overflow else { return nil }
        value = product
    }
}

/// An image as people write it: "1920x1080:XR24".
struct ImageSize: ExpressibleByArgument {
    let request: BufferRequest

    init?(argument: String) {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let format = PixelFormat(String(parts[1])) else { return nil }
        let sides = parts[0].split(separator: "x", omittingEmptySubsequences: false)
        guard sides.count == 2, let width = UInt32(sides[0]), let height = UInt32(sides[1]) else { return nil }
        request = .image(width: width, height: height, format: format)
        guard request.isPossible else { return nil }
    }
}

/// The name of an exporter, by the grammar; whether its device exists shows when it is opened.
struct ExporterName: ExpressibleByArgument {
    let text: String

    init?(argument: String) {
        guard ExporterBackend.isName(argument) else { return nil }
        text = argument
    }
}

/// The name of an importer, likewise.
struct ImporterName: ExpressibleByArgument {
    let text: String

    static let cpu = ImporterName(text: "cpu")

    var defaultValueDescription: String { text }

    private init(text: String) { self.text = text }

    init?(argument: String) {
        guard ImporterBackend.isName(argument) else { return nil }
        text = argument
    }
}

/// Seconds, with a fraction if need be: "0.5", "30".
struct Seconds: ExpressibleByArgument {
    let duration: Duration

    init(_ seconds: Int) {
        duration = .seconds(seconds)
    }

    init?(argument: String) {
        guard let seconds = Double(argument), seconds >= 0, seconds <= 1_000_000 else { return nil }
        duration = .nanoseconds(Int64(seconds * 1e9))
    }

    var defaultValueDescription: String { "\(duration.components.seconds)" }
}

/// What to make, and its name: shared by `export` and `send`.
struct BufferOptions: ParsableArguments {
    @OptionGroup var options: MakeOptions

    @Option(help: "A name for people, at most 31 bytes; it shows in /proc and in `inspect`.")
    var name: String?

    func validate() throws {
        if let name, name.utf8.count > 31 { throw ValidationError("A name has at most 31 bytes.") }
    }

    func make() throws(DMABufError) -> DescribedBuffer { try options.make(named: name) }
}

/// Which exporter, and what to make.
struct MakeOptions: ParsableArguments {
    @Option(help: "The exporter, one of \(ExporterBackend.grammar). Default: the best there is.")
    var from: ExporterName?

    @Option(help: ArgumentHelp("Plain bytes: 4096, 64K, 8M, 1G.", valueName: "bytes"))
    var size: ByteCount?

    @Option(help: ArgumentHelp("An image: 1920x1080:XR24.", valueName: "WxH:fourcc"))
    var image: ImageSize?

    @Option(help: "Fill with the contents of FILE, or with `pattern`: byte i is (i*31 + 7) mod 256.")
    var fill: String?

    func validate() throws {
        guard (size == nil) != (image == nil) else {
            throw ValidationError("Say what to make: either --size or --image.")
        }
    }

    var request: BufferRequest { image?.request ?? .bytes(size?.value ?? 0) }

    /// Makes the buffer and fills it. What was tried on the way to an exporter goes to standard error.
    func make(named name: String? = nil) throws(DMABufError) -> DescribedBuffer {
        let buffer = try export()
        for memory in buffer.memory {
            if let name { try memory.setName(name) }
        }
        if let fill { try buffer.fill(from: fill) }
        return buffer
    }

    private func export() throws(DMABufError) -> DescribedBuffer {
        if let from { return try ExporterBackend.open(from.text).export(request) }
        let (exporter, attempts) = try ExporterBackend.choose()
        let tried = attempts.map(\.line)
        do throws(DMABufError) {
            let made = try exporter.export(request)
            for line in tried { note(line.escapedForDisplay) }
            return made
        } catch {
            throw DMABufError(
                error.code, error.message, cause: error.cause, remedy: error.remedy, tried: tried + error.tried)
        }
    }
}
