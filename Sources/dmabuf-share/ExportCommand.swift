// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufSystem

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Run a command with a new buffer's file descriptors.",
        discussion: """
            COMMAND inherits the descriptors, and its environment describes them: DMABUF_FDS, DMABUF_SIZES, \
            DMABUF_PLANES, DMABUF_WIDTH and so on (see PROTOCOL.md). The exit status is COMMAND's.

            EXAMPLES:
              dmabuf-share export --from vgem --size 8M --fill pattern -- ./my-importer
              dmabuf-share export --image 1920x1080:XR24 --name frame -- sh -c 'echo $DMABUF_PLANES'
            """)

    @OptionGroup var buffer: BufferOptions

    @Flag(help: "Errors as JSON.")
    var json = false

    @Argument(parsing: .postTerminator, help: "The command and its arguments, behind --.")
    var command: [String] = []

    func validate() throws {
        if command.isEmpty { throw ValidationError("Name a command to run behind --.") }
    }

    /// COMMAND as it was given, byte for byte; the parser has made text of it.
    private var commandWords: [CommandWord] {
        OwnProcess.arguments.suffix(command.count)
    }

    func run() throws {
        try reporting(json: json) {
            let made = try buffer.make()
            throw ExitCode(try BufferEnvironment(made, name: buffer.name).run(commandWords))
        }
    }
}
