// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

struct ReadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "read", abstract: "Copy a registered buffer into a file.",
        discussion: """
            Waits for the writers' fences, and reads within an access of the registry and the kernel's bracket.

            EXAMPLES:
              dmabuf-share read frame frame.raw
            """)

    @OptionGroup var buffer: BufferArgument
    @Argument(help: "The file to write.") var file: String
    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            let deadline = options.deadline
            let attached = try buffer.attach(&registry, AttachTerms(.read, token: shown.token()), until: deadline)
            try registry.access(attached, .read, until: deadline) { (buffer) throws(DMABufError) in
                try buffer.copy(to: file)
            }
            registry.tellFailedWork(of: attached, buffer.name, until: deadline)
            try emit(TransferReport(attached, did: "read"), json: options.json)
        }
    }
}

struct WriteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "write", abstract: "Copy a file, or the pattern, into a registered buffer.",
        discussion: """
            EXAMPLES:
              dmabuf-share write frame frame.raw
              dmabuf-share write frame pattern
            """)

    @OptionGroup var buffer: BufferArgument
    @Argument(help: "The file to read, or `pattern`: byte i is (i*31 + 7) mod 256.") var file: String
    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            let deadline = options.deadline
            let attached = try buffer.attach(&registry, AttachTerms(.readWrite, token: shown.token()), until: deadline)
            try registry.access(attached, .readWrite, until: deadline) { (buffer) throws(DMABufError) in
                try buffer.fill(from: file)
            }
            try emit(TransferReport(attached, did: "wrote"), json: options.json)
        }
    }
}

struct TransferReport: Report {
    let id: String
    let generation: UInt64
    let size: UInt64
    private let did: String

    enum CodingKeys: CodingKey { case id, generation, size }

    init(_ attached: AttachedBuffer, did: String) {
        id = attached.id.hexadecimal
        generation = attached.generation.rawValue
        size = attached.buffer.description.byteCount
        self.did = did
    }

    var text: String { "\(did) \(humanBytes(size)), generation \(generation)\n" }
}
