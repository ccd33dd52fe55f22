// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

/// What every command that asks the registry has in common.
struct RegistryOptions: ParsableArguments {
    @Option(help: "The registry's socket. Default: $DMABUF_SHARE_SOCKET, then this user's own, as `serve` makes it.")
    var socket: String?

    @Option(help: ArgumentHelp("How long to wait for what is asked.", valueName: "seconds"))
    var timeout = Seconds(10)

    @Flag(help: "Print the result as JSON.")
    var json = false

    var deadline: Deadline { .after(timeout.duration) }

    func connect() throws(DMABufError) -> RegistryConnection {
        do throws(RegistryError) {
            return try RegistryConnection(at: socket ?? RegistryAddress.standard, until: deadline)
        } catch { throw error.asError }
    }
}

/// Which buffer: by its name, or by its 32 hexadecimal digits.
struct BufferArgument: ParsableArguments {
    @Argument(help: "The buffer's name, or the 32 hexadecimal digits of its number.")
    var name: String

    @Option(help: ArgumentHelp("The user whose name it is. Default: this user.", valueName: "uid"))
    var of: UInt32?

    func find(_ registry: inout RegistryConnection, until deadline: Deadline) throws(RegistryError) -> BufferID {
        if let id = BufferID(hexadecimal: name) { return id }
        guard case .found(let id, _) = try registry.ask(.lookup(name, uid: of), until: deadline) else {
            throw .ruledOut(.noSuchBuffer)
        }
        return id
    }

    /// Attaches by name in one request, and by number.
    func attach(
        _ registry: inout RegistryConnection, _ terms: AttachTerms, until deadline: Deadline
    ) throws(RegistryError) -> AttachedBuffer {
        if let id = BufferID(hexadecimal: name) { return try registry.attach(id, terms, until: deadline) }
        return try registry.attach(name, of: of, terms, until: deadline)
    }
}

extension BufferID {
    init?(hexadecimal text: String) {
        guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }

    /// As everywhere outside the program.
    var hexadecimal: String { hexadecimalText(high) + hexadecimalText(low) }
}

private func hexadecimalText(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

/// Runs a command's work with the registry; what either throws is told as any error of the tool's.
func asking(_ options: RegistryOptions, _ work: (inout RegistryConnection) throws -> Void) throws {
    try reporting(json: options.json) {
        var registry = try options.connect()
        do { try work(&registry) } catch let error as RegistryError { throw error.asError }
    }
}
