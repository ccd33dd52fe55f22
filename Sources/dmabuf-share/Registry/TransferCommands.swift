// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage

struct ReadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "read", abstract: "Copy a registered buffer into a file.",
        discussion: """
            Waits for the writers' fences, and reads within an access of the registry and the kernel's bracket.

            EXAMPLES:
              dmabuf-share read frame frame.raw
              dmabuf-share read frame - | sha256sum
            """)

    @OptionGroup var buffer: BufferArgument
    @Argument(help: "The file to write; - is standard output, and the report goes to standard error.") var file: String
    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            let deadline = options.deadline
            let attached = try buffer.attach(&registry, AttachTerms(.read, token: shown.token()), until: deadline)
            var content: [UInt8] = []
            try registry.access(attached, .read, until: deadline) { (buffer) throws(DMABufError) in
                // A reader of ours may take its time, and an access may not.
                if file == "-" { content = try buffer.content() } else { try buffer.copy(to: file) }
            }
            registry.tellFailedWork(of: attached, buffer.name, until: deadline)
            let report = TransferReport(attached, did: "read", attached.buffer.description.byteCount)
            guard file == "-" else { return try emit(report, json: options.json) }
            try write(content)
            try emitAside(report, json: options.json)
        }
    }
}

struct WriteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "write", abstract: "Copy a file, or the pattern, into a registered buffer.",
        discussion: """
            What a file is too short for stays as it was, and how much was written is told.

            EXAMPLES:
              dmabuf-share write frame frame.raw
              dmabuf-share write frame pattern
            """)

    @OptionGroup var buffer: BufferArgument
    @Argument(help: "The file to read, - for standard input, or `pattern`: byte i is (i*31 + 7) mod 256.")
    var file: String
    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            let deadline = options.deadline
            var attached = try buffer.attach(&registry, AttachTerms(.readWrite, token: shown.token()), until: deadline)
            var written: UInt64 = 0
            let input = file == "-" ? try input(for: attached.buffer) : nil
            // It may have moved while that came.
            if input != nil { attached = try registry.map(attached.attachment, until: options.deadline) }
            try registry.access(attached, .readWrite, until: options.deadline) { (buffer) throws(DMABufError) in
                written = if let input { try buffer.fill(with: input) } else { try buffer.fill(from: file) }
            }
            try emit(TransferReport(attached, did: "wrote", written), json: options.json)
        }
    }
}

extension WriteCommand {
    /// All of it, before the access begins: whoever writes it may take their time.
    private func input(for buffer: DescribedBuffer) throws(DMABufError) -> [UInt8] {
        let limit = try buffer.byteCountForStream()
        let bytes: [UInt8]
        do throws(Errno) { bytes = try StandardStream.readInput(limit: limit + 1) } catch {
            throw .system("read standard input", error)
        }
        if bytes.count <= limit { return bytes }
        throw DMABufError(.invalid, "standard input has more than the \(limit) bytes of the buffer")
    }
}

struct TransferReport: Report {
    let id: String
    let generation: UInt64
    /// Of the buffer.
    let size: UInt64
    /// Bytes that were read or written.
    let transferred: UInt64
    private let did: String

    enum CodingKeys: CodingKey { case id, generation, size, transferred }

    init(_ attached: AttachedBuffer, did: String, _ transferred: UInt64) {
        self.transferred = transferred
        id = attached.id.hexadecimal
        generation = attached.generation.rawValue
        size = attached.buffer.description.byteCount
        self.did = did
    }

    var text: String {
        let rest = transferred < size ? " of \(humanBytes(size)); the rest is as it was" : ""
        return "\(did) \(humanBytes(transferred))\(rest), generation \(generation)\n"
    }
}
