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
            `export` does; what is under way then, and has to end before it reads, are the DMABUF_FENCE_FDS. The attachment lasts as long as COMMAND; its exit status is ours. What the registry says \
            meanwhile (the buffer moves, its owner wants it back) is told on standard error: COMMAND keeps the \
            memory that it was given until it ends, and nothing here says that it let go. A move does not wait for it: \
            `fence add` is for work that others wait for.

            EXAMPLES:
              dmabuf-share attach frame -- ./viewer
              dmabuf-share attach model --read-only -- sh -c 'echo $DMABUF_SIZES'
              dmabuf-share attach 6f1e0c4c7c6d4d2f9a3b5e8d7c6b5a49 --token-file pass -- ./viewer
            """)

    @OptionGroup var buffer: BufferArgument
    @Flag(help: "Attach to read only.")
    var readOnly = false
    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    @Argument(parsing: .postTerminator, help: "The command and its arguments, behind --.")
    var command: [String] = []

    func validate() throws {
        if command.isEmpty { throw ValidationError("Name a command to run behind --.") }
    }

    func run() throws {
        try asking(options) { registry in
            let terms = AttachTerms(readOnly ? .read : .readWrite, .revocable, token: try shown.token())
            let attached = try buffer.attach(&registry, terms, until: options.deadline)
            var work = try WorkUnderWay(on: attached, &registry, until: options.deadline)
            let giveUp = work.giveUp
            let running = try BufferEnvironment(attached.buffer, name: buffer.givenName, fences: work.fences)
                .attend(words(of: command))
            let status = try running.wait(&registry) {
                tell($0, of: buffer.name)
            } alone: {
                giveUp()
            } meanwhile: { (registry) throws(RegistryError) in
                try work.look(&registry, until: options.deadline)
            }
            throw ExitCode(status)
        }
    }
}

/// The words of the command behind `--`, byte for byte.
func words(of command: [String]) -> [CommandWord] { Array(OwnProcess.arguments.suffix(command.count)) }

/// A notice for the person watching, on standard error.
func tell(_ notice: Notice, of name: String) {
    note(String(NoticeReport(notice, name: name).text.dropLast()))
}
