// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage

struct FenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fence",
        abstract: "Say that work on a buffer is under way, wait for such work, and list it.",
        discussion: """
            Fences have four classes: kernel, write, read, bookkeep. Asking for one asks for those before it too.

            EXAMPLES:
              dmabuf-share fence add frame --write -- ./render
              dmabuf-share fence wait frame --read
              dmabuf-share fence list frame
            """,
        subcommands: [FenceAdd.self, FenceWait.self, FenceList.self])
}

/// A class of fences that programs add and wait for.
enum FenceClass: String, EnumerableFlag {
    case write, read, bookkeep

    var usage: Usage {
        switch self {
        case .write: .write
        case .read: .read
        case .bookkeep: .bookkeep
        }
    }

    static func help(for value: FenceClass) -> ArgumentHelp? {
        switch value {
        case .write: "Work that writes: readers and writers wait for it."
        case .read: "Work that reads: writers wait for it."
        case .bookkeep: "Work that nobody waits for, but a move and the end of the memory."
        }
    }
}

struct FenceAdd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Run a command whose work on a buffer is a fence: pending until the command ends.",
        usage: "dmabuf-share fence add <name> --write|--read|--bookkeep [<options>] -- <command> ...",
        discussion: """
            COMMAND is given the buffer as `attach` gives it, and its exit status is ours. It does not wait for the work \
            of others: `fence wait` does. The fence ends with COMMAND, and is renewed until then, but \
            for a move, which waits for what was promised before it and no longer. With --within it is an error for those \
            who wait after that. Writing that fails, or of which nobody can say how it ended, leaves half of what it was \
            to write: it is told as `owner dead` to who waits, until other work that was promised has written it well: \
            this command's, or `copy`'s.

            EXAMPLES:
              dmabuf-share fence add frame --write -- ./render
              dmabuf-share fence add frame --read --within 2 -- ./encode
            """)

    @OptionGroup var buffer: BufferArgument
    @Flag(exclusivity: .exclusive) var kind: FenceClass

    @Option(
        help: ArgumentHelp(
            "By when COMMAND has ended, 10 at most. Default: however long it takes.", valueName: "seconds"))
    var within: Seconds?

    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    @Argument(parsing: .postTerminator, help: "The command and its arguments, behind --.")
    var command: [String] = []

    func validate() throws {
        if command.isEmpty { throw ValidationError("Name a command to run behind --.") }
        if let within, within.duration <= .zero || within.duration > Duration(FenceTerms.longestInterval) {
            throw ValidationError("--within is more than 0 seconds and at most 10.")
        }
    }

    func run() throws {
        try asking(options) { registry in
            let terms = AttachTerms(kind == .write ? .readWrite : .read, .revocable, token: try shown.token())
            let attached = try buffer.attach(&registry, terms, until: options.deadline)
            try registry.ask(.reserve(attached.attachment, slots: 2), until: options.deadline)
            let ended = try EventFence()
            // Counted from before they are made: no promise is thought to last longer than it does.
            let first = promise(on: 1, of: attached)
            let running: AttendedCommand
            do { running = try begin(&registry, attached, ended) } catch {
                // Nothing was begun.
                try? ended.signal()
                throw error
            }
            let status = try attend(running, first, &registry, attached, ended)
            // An eventfd whose owner goes without a signal is the word that there is for work that failed.
            guard status == 0 || kind != .write else { throw ExitCode(status) }
            try? ended.signal()
            // Once this is answered the registry has seen the fences end, before it sees this process end.
            _ = try? registry.ask(.detach(attached.attachment), until: options.deadline)
            throw ExitCode(status)
        }
    }

    /// The work is two fences. One is an eventfd of ours: it is there before COMMAND is, so that nobody slips in between, and
    /// tells how it ended.
    private func begin(
        _ registry: inout RegistryConnection, _ attached: AttachedBuffer, _ ended: EventFence
    ) throws -> AttendedCommand {
        try add(ended.fence, .eventFD, timeline: 1, point: 1, &registry, attached)
        return try BufferEnvironment(attached.buffer, name: buffer.givenName).attend(words(of: command))
    }

    /// The other is COMMAND's own process, and ends with it whatever becomes of this one.
    private func attend(
        _ running: borrowing AttendedCommand, _ first: LastingPromise, _ registry: inout RegistryConnection,
        _ attached: AttachedBuffer,
        _ ended: EventFence
    ) throws -> Int32 {
        var promises = [first]
        let second = promise(on: 2, of: attached)
        do {
            try add(try running.fence(), .pidFD, timeline: 2, point: 1, &registry, attached)
            promises.append(second)
            // Once more, and later: what ends well makes good what failed before it, and a process ends well.
            try add(ended.fence, .eventFD, timeline: 1, point: 2, &registry, attached)
        } catch {
            let why = (error as? RegistryError)?.asError.message ?? "\(error)"
            note("\(why): if this process is killed, nobody waits for the command")
        }
        return try running.wait(&registry) {
            tell($0, of: buffer.name)
        } meanwhile: { (registry) throws(RegistryError) in
            try renew(&promises, &registry)
        }
    }

    private func promise(on timeline: UInt32, of attached: AttachedBuffer) -> LastingPromise {
        LastingPromise(on: [attached.attachment], timeline: timeline, end: .after(longest.duration))
    }

    private var longest: Seconds { within ?? Seconds(10) }

    /// Returns by when to come again, if at all.
    private func renew(
        _ promises: inout [LastingPromise], _ registry: inout RegistryConnection
    ) throws(RegistryError) -> Deadline? {
        guard within == nil else { return nil }
        for index in promises.indices.reversed() {
            do throws(RegistryError) { try promises[index].renew(&registry, until: options.deadline) } catch {
                // That it is over is told by a notice.
                guard case .ruledOut = error else { throw error }
                promises.remove(at: index)
            }
        }
        return promises.map(\.nextTurn).min()
    }

    private func add(
        _ fence: Fence, _ kind: FenceTerms.Kind, timeline: UInt32, point: UInt64, _ registry: inout RegistryConnection,
        _ attached: AttachedBuffer
    ) throws {
        let terms = FenceTerms(
            timeline: timeline, point: point, usage: self.kind.usage, kind: kind, within: longest.interval)
        _ = try registry.add(fence, to: attached.attachment, terms, until: options.deadline)
    }
}

struct FenceWait: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait for the work on a buffer that is under way now.",
        discussion: """
            Who wants to read waits with --write, for the writers; who wants to write, with --read, for the readers too. \
            Of a dma-buf, what drivers and programs that know of no registry have under way is waited for as well. \
            The status is 0 when all work has ended well, 1 when some of it failed or its owner died, 124 when it did \
            not end in time.

            EXAMPLES:
              dmabuf-share fence wait frame --write && dmabuf-share read frame frame.raw
              dmabuf-share fence wait frame --timeout 1
            """)

    @OptionGroup var buffer: BufferArgument
    @Flag(exclusivity: .exclusive) var kind: FenceClass = .read
    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            let terms = AttachTerms(.read, token: try shown.token())
            let attached = try buffer.attach(&registry, terms, until: options.deadline)
            let status = try registry.waitForFences(of: attached, kind.usage, until: options.deadline)
            guard status == .ok else {
                throw DMABufError(.failed, "work on \(buffer.name.quotedForDisplay) ended with \(status.words)")
            }
            try emit(FenceWaitReport(attached, kind), json: options.json)
        }
    }
}

struct FenceList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the work on a buffer that is under way now.",
        discussion: """
            Fences with a number are promises to the registry. Those without are in the kernel's own reservation of the \
            dma-buf, by driver and timeline, whoever put them there; the registry's sync_files are among them.

            EXAMPLES:
              dmabuf-share fence list frame --json
            """)

    @OptionGroup var buffer: BufferArgument
    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            let terms = AttachTerms(.read, token: try shown.token())
            let attached = try buffer.attach(&registry, terms, until: options.deadline)
            var report = FenceListReport(attached)
            // Each class brings those below it: what is new is its own.
            for usage in Usage.allCases {
                let request = Request.snapshot(attached.attachment, usage)
                guard case .snapshot(let status, let fences) = try registry.ask(request, until: options.deadline) else {
                    return
                }
                report.add(fences, usage, status)
            }
            report.add(try attached.pendingKernelFences())
            try emit(report, json: options.json)
        }
    }
}

struct FenceWaitReport: Report {
    let id: String
    let usage: String
    let status: String

    init(_ attached: AttachedBuffer, _ kind: FenceClass) {
        id = attached.id.hexadecimal
        usage = kind.rawValue
        status = FenceStatus.ok.words
    }

    var text: String { "\(status)\n" }
}

struct FenceListReport: Report {
    let id: String
    let generation: UInt64
    private(set) var status = FenceStatus.ok.words
    private(set) var fences: [Row] = []
    private(set) var kernel: [KernelRow] = []

    struct Row: Encodable {
        let fence: UInt64
        let usage: String
    }

    struct KernelRow: Encodable {
        let usage: String
        let driver: String
        let timeline: String
    }

    init(_ attached: AttachedBuffer) {
        id = attached.id.hexadecimal
        generation = attached.generation.rawValue
    }

    mutating func add(_ found: [FenceID], _ usage: Usage, _ status: FenceStatus) {
        self.status = status.words
        let known = Set(fences.map(\.fence))
        let new = found.map(\.rawValue).filter { !known.contains($0) }
        fences += new.map { Row(fence: $0, usage: "\(usage)") }
    }

    mutating func add(_ found: [KernelFence]) {
        kernel = found.map { KernelRow(usage: "\($0.usage)", driver: $0.driver, timeline: $0.timeline) }
    }

    var text: String {
        if fences.isEmpty, kernel.isEmpty { return "nothing is under way; what was under way ended with \(status)\n" }
        var table = Table(["FENCE", "USAGE", "PROMISED BY"])
        for row in fences { table.add(["\(row.fence)", row.usage, "a client"]) }
        for row in kernel { table.add(["-", row.usage, "\(row.driver) (\(row.timeline))".escapedForDisplay]) }
        return table.text
    }
}
