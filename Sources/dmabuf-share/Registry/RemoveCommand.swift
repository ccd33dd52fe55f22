// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABufClient
import DMABufModel
import DMABufSystem

struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Take a buffer out of the registry; who is attached may finish.",
        discussion: """
            EXAMPLES:
              dmabuf-share remove model
            """)

    @OptionGroup var buffer: BufferArgument
    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            let id = try buffer.find(&registry, until: options.deadline)
            try registry.ask(.withdraw(id), until: options.deadline)
            try emit(DoneReport(id: id.hexadecimal, did: "removed"), json: options.json)
        }
    }
}

/// What a command did to which buffer, where there is no more to say.
struct DoneReport: Report {
    let id: String
    let did: String
    var text: String { "\(did) \(id)\n" }
}
