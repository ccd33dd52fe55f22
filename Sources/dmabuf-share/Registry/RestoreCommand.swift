// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABufClient
import DMABufModel
import DMABufSystem

struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Let a revoked attachment map its buffer again.",
        discussion: """
            EXAMPLES:
              dmabuf-share restore frame --attachment 7
            """)

    @OptionGroup var buffer: BufferArgument

    @Option(help: ArgumentHelp("The attachment, as `show` numbers it.", valueName: "number"))
    var attachment: UInt64

    @OptionGroup var options: RegistryOptions

    func validate() throws {
        if attachment == 0 { throw ValidationError("No attachment has the number 0.") }
    }

    func run() throws {
        try asking(options) { registry in
            let id = try buffer.find(&registry, until: options.deadline)
            try registry.ask(.restore(AttachmentID(attachment)), until: options.deadline)
            try emit(DoneReport(id: id.hexadecimal, did: "restored"), json: options.json)
        }
    }
}
