// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage

struct MoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move",
        abstract: "Move a registered buffer to memory of another exporter.",
        discussion: """
            This process is the mover: everyone who is using the buffer is told and waited for, all work on it ends, its \
            content is copied, and from then on the new memory is the buffer's, under the next generation. Who has \
            the old memory open still reaches the old memory.

            A move that fails, is late or is interrupted is called off, and the buffer goes on as it was; so is one \
            during which work on the buffer fails, or does not end in the time that was promised for it, unless those who \
            are late are cut off. What \
            a device has is pinned, and a move of it is refused; with --wait it is asked for again until the device is \
            done, as with a frame of a stream.

            EXAMPLES:
              dmabuf-share move frame --to heap:system
              dmabuf-share move frame --to dumb:card0 --within 0.5 --late cut-off
              dmabuf-share move cam0.2 --to udmabuf --wait 10
            """)

    @OptionGroup var buffer: BufferArgument

    @Option(
        name: .customLong("to"),
        help: ArgumentHelp(
            "The exporter of the new memory, one of \(ExporterBackend.grammar).", valueName: "exporter"))
    var exporter: ExporterName

    @Option(
        help: ArgumentHelp(
            "How long to ask again while it is pinned or locked. Default: not at all.", valueName: "seconds"))
    var wait: Seconds?

    @Option(help: ArgumentHelp("How long those who use it have to let go, 10 at most.", valueName: "seconds"))
    var within = Seconds(2)

    @Option(
        help: ArgumentHelp(
            "What happens when some do not: the move is called off, or they are revoked and what they write is lost.",
            valueName: "choice"))
    var late = LateChoice.abort

    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            let begun = Deadline.now()
            let signals = try terminationSignals()
            // One that called the move off has done its work, and is not to end the program once it is let through.
            defer { while signals.next() != nil {} }
            let exporter = try ExporterBackend.open(exporter.text)
            let token = try shown.token()
            let attached = try buffer.attach(&registry, AttachTerms(.read, token: token), until: options.deadline)
            let target = try exporter.export(like: attached.buffer)
            target.takeNames(of: attached.buffer)
            let before = try registry.state(of: attached, .bookkeep, until: options.deadline)
            var torn: FenceStatus?
            let insistence = wait.map { Deadline.after($0.duration) } ?? .now()
            let outcome = try insisting(until: insistence, unless: signals.descriptor) { () throws(RegistryError) in
                try registry.move(
                    attached, to: target, MoveTerms(within: within.interval, late: late.late, token: token),
                    unless: signals.descriptor
                ) { (ready) throws(DMABufError) in
                    if ready.work != .ok { torn = ready.work }
                    try checkWork(ready.work, before)
                    try copy(attached.buffer, into: target, ready, signals)
                }
            }
            let report = try MoveReport(attached, outcome, torn, named: buffer.name, exporter.name, since: begun)
            try emit(report, json: options.json)
        }
    }

    /// What failed before is not this move's to find; what fails while it waits leaves content that nobody has seen. Where work
    /// was under way already, the two cannot be told apart.
    private func checkWork(_ work: FenceStatus, _ before: FenceStatus) throws(DMABufError) {
        guard work != .ok else { return }
        guard late == .cutOff || work == before else {
            throw DMABufError(
                work == .error(110) ? .deadline : .failed,
                "work on \(buffer.name.quotedForDisplay) ended with \(work.words) while the move waited for it; the buffer goes "
                    + "on as it was", remedy: "write it anew and move it then, or take what is there: --late cut-off")
        }
        note("work on the old memory ended with \(work.words): what is moved may be torn")
    }

    private func copy(
        _ source: DescribedBuffer, into target: DescribedBuffer, _ ready: RegistryConnection.ReadyToCopy,
        _ signals: borrowing SignalFD
    ) throws(DMABufError) {
        var progress = Progress("copying", of: source.memoryByteCount)
        defer { progress.end() }
        var isInterrupted = false
        let isWhole = try source.copyMemory(into: target, until: .after(.seconds(2))) { byteCount in
            isInterrupted = signals.next() != nil
            guard !isInterrupted, !ready.deadline.hasPassed else { return false }
            progress.add(byteCount)
            return true
        }
        if isWhole { return }
        throw isInterrupted
            ? DMABufError(.failed, "interrupted while the content was copied; the buffer goes on as it was")
            : DMABufError(.deadline, "the content could not be copied in time; the buffer goes on as it was")
    }
}

/// What ends a command in good order: Control-C and `kill`.
func terminationSignals() throws(DMABufError) -> SignalFD {
    do throws(Errno) { return try SignalFD.termination() } catch { throw .system("wait for signals", error) }
}

enum LateChoice: String, ExpressibleByArgument, CaseIterable {
    case abort
    case cutOff = "cut-off"

    var late: MoveTerms.Late { self == .abort ? .abort : .cutOff }
}

extension DescribedBuffer {
    /// For people alone, so it may fail.
    fileprivate func takeNames(of other: DescribedBuffer) {
        for (new, old) in zip(memory, other.memory) {
            if let name = try? old.name() { try? new.setName(name) }
        }
    }
}

struct MoveReport: Report {
    let id: String
    let from: UInt64
    let to: UInt64
    let exporter: String
    let size: UInt64
    let cutOff: [HolderReport]
    /// How the work on the old memory ended.
    let work: String
    let duration: UInt64
    private let name: String
    private let late: [Holder]

    enum CodingKeys: String, CodingKey {
        case id, from, to, exporter, size, work
        case cutOff = "cut_off"
        case duration = "duration_ns"
    }

    /// Throws what a move that came to nothing came to.
    init(
        _ attached: AttachedBuffer, _ outcome: MoveOutcome, _ torn: FenceStatus?, named name: String,
        _ exporter: String,
        since begun: Deadline
    ) throws(DMABufError) {
        switch outcome {
        case .moved(let generation, let cutOff):
            to = generation.rawValue
            late = cutOff
        case .aborted(let reason): throw reason.error(name, attached.generation)
        }
        id = attached.id.hexadecimal
        from = attached.generation.rawValue
        self.exporter = exporter
        size = attached.buffer.description.byteCount
        cutOff = late.map(HolderReport.init)
        work = (torn ?? .ok).words
        duration = Deadline.now().nanoseconds - begun.nanoseconds
        self.name = name
    }

    var text: String {
        "moved \(name.quotedForDisplay), \(humanBytes(size)), from generation \(from) to \(to), which \(exporter) made"
            + (late.isEmpty ? "" : "; cut off: \(late.words)") + "\n"
    }
}

extension MoveAbort {
    fileprivate func error(_ name: String, _ generation: Generation) -> DMABufError {
        let code: DMABufError.Code
        var remedy: String?
        switch self {
        case .late: (code, remedy) = (.deadline, "allow more time with --within, or do without them: --late cut-off")
        case .copyLate: code = .deadline
        case .tokenEnded: code = .refused
        case .refused: (code, remedy) = (.refused, "ask again later, or do without them: --late cut-off")
        case .quarantined: code = .refused
        case .bufferEnded: code = .gone
        case .asked, .copyFailed: code = .failed
        }
        return DMABufError(
            code, "\(name.quotedForDisplay) was not moved and stays at generation \(generation.rawValue): \(sentence)",
            remedy: remedy)
    }
}
