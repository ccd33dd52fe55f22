// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

struct AttachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Run a command with the descriptors of a registered buffer.",
        discussion: """
            COMMAND inherits the descriptors of the present generation, and its environment describes them as \
            `export` does. The attachment lasts as long as COMMAND; its exit status is ours.

            EXAMPLES:
              dmabuf-share attach frame -- ./viewer
              dmabuf-share attach model --read-only -- sh -c 'echo $DMABUF_SIZES'
            """)

    @OptionGroup var buffer: BufferArgument
    @Flag(help: "Attach to read only.")
    var readOnly = false
    @OptionGroup var options: RegistryOptions

    @Argument(parsing: .postTerminator, help: "The command and its arguments, behind --.")
    var command: [String] = []

    func validate() throws {
        if command.isEmpty { throw ValidationError("Name a command to run behind --.") }
    }

    func run() throws {
        try asking(options) { registry in
            let attached = try buffer.attach(
                &registry, AttachTerms(readOnly ? .read : .readWrite, .revocable), until: options.deadline)
            let words = Array(OwnProcess.arguments.suffix(command.count))
            throw ExitCode(try BufferEnvironment(attached.buffer, name: buffer.name).run(words))
        }
    }
}
