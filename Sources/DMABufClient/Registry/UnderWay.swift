// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire

/// What a client has under way at its registry, which a restart forgets: noted from what is asked, answered and told.
///
/// Rule: *the next registry hears of it first.* Before anything else is asked of it, a client that comes back says which
/// accesses it is inside of, promises again what has not ended, and learns what became of the moves that it knew of. Its
/// attachments are unsettled until then, so nobody else can have moved or locked their buffers meanwhile.
struct UnderWay {
    private struct Move {
        let from: Generation
        /// It may have been the registry's last deed.
        var mayBeCommitted: Bool
    }

    private struct Accesses {
        let generation: Generation
        let access: Access
        var count = 1
    }

    private struct Told {
        let buffer: BufferID
        let generation: Generation
    }

    var promises = Promises()
    private(set) var marks = AttachmentMarks()
    private var attachments: Set<AttachmentID> = []
    private var accesses: [AttachmentID: Accesses] = [:]
    private var moves: [BufferID: Move] = [:]
    private var lock: LockNumber?
    /// Of others' moves.
    private var told: [AttachmentID: Told] = [:]

    // MARK: Noting

    mutating func sending(_ message: borrowing Message) {
        if case .commitMove(let next) = copy message { moves[next.buffer]?.mayBeCommitted = true }
    }

    mutating func answered(_ message: borrowing Message, _ answer: borrowing Message) {
        switch (copy message, copy answer) {
        case (.request(.attach), .granted(let grant)), (.request(.attachNamed), .granted(let grant)):
            attachments.insert(grant.attachment)
        case (.request(.detach(let attachment)), .answer(.done)): forget(attachment)
        case (.request(.beginAccess(let attachment, let generation, let access)), .answer(.done)):
            if accesses[attachment] == nil {
                accesses[attachment] = Accesses(generation: generation, access: access)
            } else {
                accesses[attachment]?.count += 1
            }
        case (.request(.endAccess(let attachment)), .answer(.accessEnded)): endOne(attachment)
        case (.request(.acknowledge(let attachment, _, _)), .answer(.done)),
            (.request(.acknowledgeRevoke(let attachment)), .answer(.done)):
            accesses[attachment] = nil
        case (.request(.lock), .answer(.locked(let number, _))): lock = number
        case (.request(.unlock), .answer(.done)): lock = nil
        case (.request(.beginMove(let buffer, let generation, let terms)), .answer(.moveBegun)):
            moves[buffer] = Move(from: generation, mayBeCommitted: terms.copier == .server)
        case (.request(.renewFence(let attachment, let timeline, let within)), .answer(.done)):
            promises.renewed(attachment, timeline, within)
        case (.commitMove(let next), .answer(.refused)): moves[next.buffer]?.mayBeCommitted = false
        default: break
        }
    }

    private mutating func endOne(_ attachment: AttachmentID) {
        accesses[attachment]?.count -= 1
        if accesses[attachment]?.count == 0 { accesses[attachment] = nil }
    }

    private mutating func forget(_ attachment: AttachmentID) {
        attachments.remove(attachment)
        accesses[attachment] = nil
        told[attachment] = nil
        marks.forget(attachment)
    }

    /// What its client is told.
    mutating func heard(_ notice: Notice) -> Notice {
        marks.heard(notice)
        switch notice {
        case .invalidate(let attachment, let buffer, let generation, _),
            .moving(let attachment, let buffer, let generation):
            told[attachment] = Told(buffer: buffer, generation: generation)
        case .moved(let attachment, _, _), .moveAborted(let attachment, _, _): told[attachment] = nil
        case .moveEnded(let buffer, _): moves[buffer] = nil
        case .lockEnded(lock): lock = nil
        case .revoked(let attachment, _, _): accesses[attachment] = nil
        case .attachmentEnded(let attachment, _): forget(attachment)
        case .fenceExpired(let id, let buffer): return .fenceExpired(promises.expired(id), buffer)
        default: break
        }
        return notice
    }

    /// Whether a notice of the registry before means nothing any more.
    func isOver(_ notice: Notice) -> Bool {
        switch notice {
        case .readyToCopy, .invalidate, .lockEnded: true
        default: false
        }
    }

    // MARK: Coming back

    /// Asks the next registry, with a fence where one is needed; a refusal is thrown.
    typealias Ask = (Request, Fence?) throws(RegistryError) -> Message

    /// By when the next registry has heard of all that is under way, or of nothing: that takes its own time, whatever is left until
    /// `end`.
    static func isTold(by end: Deadline, _ answersWithin: Duration, _ patience: Duration) -> Deadline {
        max(end, .after(max(answersWithin, patience)))
    }

    /// What the registry before would have said of the moves and the lock that were under way. Attachments that have `words` say by
    /// themselves where they stand.
    mutating func goOn(without words: Set<AttachmentID>, _ ask: Ask) throws(RegistryError) -> [Notice] {
        var notices: [Notice] = []
        if let lock { notices.append(.lockEnded(lock)) }
        lock = nil
        for (buffer, move) in moves {
            notices.append(.moveEnded(buffer, try Self.outcome(of: move, buffer, ask)))
        }
        try promises.goOn(ask)
        // Before an access is begun again: from then on there can be a move that waits for it, and takes this for its answer.
        for (attachment, told) in told {
            if let notice = try Self.end(of: told, attachment, ask) { notices.append(notice) }
        }
        for (attachment, accesses) in accesses {
            for _ in 0..<accesses.count {
                try Self.unlessRefused { () throws(RegistryError) in
                    try ask(.beginAccess(attachment, accesses.generation, accesses.access), nil)
                }
            }
        }
        for attachment in attachments where accesses[attachment] == nil && !words.contains(attachment) {
            // Who waits is not inside an access.
            try Self.unlessRefused { () throws(RegistryError) in
                try ask(.wait(attachment, .kernel, within: Interval(nanoseconds: 0)), nil)
            }
        }
        moves = [:]
        told = [:]
        marks.forgetMoves()
        return notices
    }

    private static func outcome(
        of move: Move, _ buffer: BufferID, _ ask: Ask
    ) throws(RegistryError) -> MoveOutcome {
        do throws(RegistryError) { _ = try ask(.abortMove(buffer, move.from), nil) } catch {
            switch error {
            case .ruledOut(.stale(let current)) where move.mayBeCommitted && current == move.from.next:
                return .moved(current, cutOff: [])
            case .ruledOut(.noSuchBuffer): return .aborted(.bufferEnded)
            case .ruledOut: break
            default: throw error
            }
        }
        return .aborted(.asked)
    }

    /// The registry knows nothing of the move, and says which generation is live.
    private static func end(
        of told: Told, _ attachment: AttachmentID, _ ask: Ask
    ) throws(RegistryError) -> Notice? {
        do throws(RegistryError) { _ = try ask(.acknowledge(attachment, told.generation, ending: nil), nil) } catch {
            switch error {
            case .ruledOut(.stale(let current)): return .moved(attachment, told.buffer, current)
            case .ruledOut(.notOwed(let current)): return .moveAborted(attachment, told.buffer, current)
            case .ruledOut: return nil
            default: throw error
            }
        }
        return nil
    }

    private static func unlessRefused(_ body: () throws(RegistryError) -> Message) throws(RegistryError) {
        do throws(RegistryError) { _ = try body() } catch {
            guard case .ruledOut = error else { throw error }
        }
    }
}
