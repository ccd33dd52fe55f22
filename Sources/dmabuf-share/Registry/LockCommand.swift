// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

struct LockCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Run a command while nobody else adds work to some buffers, locks them or moves them.",
        usage: "dmabuf-share lock <name> ... [<options>] -- <command> ...",
        discussion: """
            All buffers are locked at once, in the order of asking, so that no two wait for each other. \
            COMMAND finds the lock's number in $DMABUF_LOCK; its exit status is ours. The lock ends with COMMAND, and \
            after --lasting at the latest, which is told. It is this process's: what COMMAND asks the registry for by \
            connections of its own is not under it.

            EXAMPLES:
              dmabuf-share lock frame -- ./flip
              dmabuf-share lock left right --within 1 --lasting 0.5 -- ./compose
            """)

    /// One list, for the parser takes no second one behind it: what is behind `--` is the command.
    @Argument(
        help: ArgumentHelp(
            "The buffers' names, or the 32 hexadecimal digits of their numbers; behind -- the command and its arguments.",
            valueName: "name"),
        completion: .registeredNames)
    var words: [String]

    @OptionGroup var user: UserOption

    @Option(help: ArgumentHelp("How long to wait for the lock, 10 at most.", valueName: "seconds"))
    var within = Seconds(10)

    @Option(help: ArgumentHelp("How long the lock lasts, 10 at most.", valueName: "seconds"))
    var lasting = Seconds(10)

    @OptionGroup var options: RegistryOptions

    static let variable = "DMABUF_LOCK"

    private var command: [CommandWord] {
        let all = OwnProcess.arguments
        return all.firstIndex(of: "--").map { Array(all[($0 + 1)...]) } ?? []
    }

    private var names: ArraySlice<String> { words.dropLast(command.count) }

    func validate() throws {
        if command.isEmpty { throw ValidationError("Name a command to run behind --.") }
        if names.isEmpty { throw ValidationError("Name the buffers to lock.") }
    }

    func run() throws {
        try asking(options) { registry in
            var ids: [BufferID] = []
            for name in names {
                let id = try user.find(name, &registry, until: options.deadline)
                // Two names may lead to one buffer.
                if !ids.contains(id) { ids.append(id) }
            }
            let request = Request.lock(ids, within: within.interval, lasting: lasting.interval)
            let patience = options.deadline.advanced(by: within.duration)
            guard case .locked(let number, _) = try registry.ask(request, until: patience) else { return }
            throw ExitCode(try run(under: number, &registry))
        }
    }

    private func run(under number: LockNumber, _ registry: inout RegistryConnection) throws -> Int32 {
        var isHeld = true
        let running = try AttendedCommand(command, environment: environment(number))
        let status = try running.wait(&registry) { notice in
            guard case .lockEnded(number) = notice else { return }
            isHeld = false
            note("lock \(number.rawValue) is over before the command is: it runs on without")
        }
        if isHeld { _ = try? registry.ask(.unlock(number), until: options.deadline) }
        return status
    }

    private func environment(_ number: LockNumber) -> [CommandWord] {
        OwnProcess.environment.filter { !$0.hasPrefix("\(Self.variable)=") }
            + [CommandWord("\(Self.variable)=\(number.rawValue)")]
    }
}
