// SPDX-License-Identifier: Apache-2.0

public import DMABuf
import DMABufConnection
public import DMABufModel
public import DMABufSystem

extension RegistryConnection {
    /// What the mover is told when everyone has let go.
    public struct ReadyToCopy: Sendable {
        /// How the work on the old memory ended. Anything but `ok` means that its content may be torn.
        public let work: FenceStatus
        /// By then the move is aborted.
        public let deadline: Deadline
    }

    /// Moves a buffer to `memory`: the exporter's side of a move, whole. All holders let go, all fences end, `copy` fills
    /// the new memory, and from then on it is the buffer's. The mover is attached itself, and reads the old memory through
    /// that attachment.
    ///
    /// Whatever goes wrong, the move is called off and the old memory goes on: when `copy` throws, when `stop` becomes
    /// readable (the outcome is then `aborted(.asked)`), when the mover's own attachment is asked back, when it dies. Where
    /// the connection itself fails (``RegistryError/connection(_:)``, ``RegistryError/restarted``) once `copy` is done, the
    /// registry may have taken the new memory or not.
    ///
    /// The corresponding kernel name is `move_notify`, which userspace never receives.
    public mutating func move(
        _ attached: AttachedBuffer, to memory: DescribedBuffer, _ terms: MoveTerms,
        unless stop: borrowing Descriptor, copy: (ReadyToCopy) throws(DMABufError) -> Void
    ) throws(RegistryError) -> MoveOutcome {
        let size = attached.buffer.memoryByteCount
        // Said by the rules as well, but only after everyone has let go.
        guard memory.memoryByteCount == size else { throw .ruledOut(.wrongSize(expected: size)) }
        let (id, generation) = (attached.id, attached.generation)
        guard case .moveBegun(_, let until) = try ask(.beginMove(id, generation, terms), until: .after(answersWithin))
        else {
            throw .ruledOut(.notMoving)
        }
        // What was said before the answer is of an earlier move, whose end nobody has heard.
        notices.removeAll { $0.isForMover(of: id) }
        var isCommitting = false
        do throws(RegistryError) {
            // The holders have until then; after that each fence that is left has its own end.
            let last = Deadline(nanoseconds: until.nanoseconds).advanced(by: .fences).advanced(by: answersWithin)
            switch try waitForTurn(attached, until: last, unless: stop) {
            case .ended(let outcome): return outcome
            case .stopped: try ask(.abortMove(id, generation), until: .after(answersWithin))
            case .ready(let ready):
                do throws(DMABufError) { try copy(ready) } catch { throw .local(error) }
                isCommitting = true
                try commitMove(of: id, from: generation, to: memory, until: .after(answersWithin))
            }
            return try waitForOutcome(of: id, until: .after(answersWithin))
        } catch {
            // Its end may have come by itself, or the registry have taken the memory and only its answer been late.
            guard isCommitting else {
                _ = try? ask(.abortMove(id, generation), until: .after(answersWithin))
                throw error
            }
            guard try isCommittedAfterAll(id, generation) else { throw error }
            return try waitForOutcome(of: id, until: .after(answersWithin))
        }
    }

    private mutating func isCommittedAfterAll(_ id: BufferID, _ generation: Generation) throws(RegistryError) -> Bool {
        do throws(RegistryError) { try ask(.abortMove(id, generation), until: .after(answersWithin)) } catch {
            if case .ruledOut(.stale(generation.next)) = error { return true }
            // Not even this is answered, so nobody knows.
            guard case .ruledOut = error else { throw error }
        }
        return false
    }

    private enum Turn {
        case ready(ReadyToCopy)
        case ended(MoveOutcome)
        case stopped
    }

    private mutating func waitForTurn(
        _ attached: AttachedBuffer, until deadline: Deadline, unless stop: borrowing Descriptor
    ) throws(RegistryError) -> Turn {
        let notice = try nextNotice(until: deadline, unless: stop) { notice in
            switch notice {
            case .readyToCopy(attached.id, _, _, _), .moveEnded(attached.id, _): true
            // Without its attachment the mover has nothing to copy from.
            case .revoke(attached.attachment, _, _, _), .revoked(attached.attachment, _, _): true
            default: false
            }
        }
        switch notice {
        case .readyToCopy(_, _, let work, let until):
            return .ready(ReadyToCopy(work: work, deadline: Deadline(nanoseconds: until.nanoseconds)))
        case .moveEnded(_, let outcome): return .ended(outcome)
        case nil where deadline.hasPassed: throw .connection(.deadline)
        default: return .stopped
        }
    }

    /// What has been decided is waited for, whoever wants to stop.
    private mutating func waitForOutcome(of id: BufferID, until deadline: Deadline) throws(RegistryError)
        -> MoveOutcome
    {
        let notice = try nextNotice(until: deadline) { notice in
            if case .moveEnded(id, _) = notice { true } else { false }
        }
        guard case .moveEnded(_, let outcome) = notice else { throw .connection(.deadline) }
        return outcome
    }
}

extension Notice {
    fileprivate func isForMover(of id: BufferID) -> Bool {
        switch self {
        case .readyToCopy(id, _, _, _), .moveEnded(id, _): true
        default: false
        }
    }
}

extension Duration {
    /// The longest that a fence can be pending.
    fileprivate static let fences = Duration(FenceTerms.longestInterval)
}
