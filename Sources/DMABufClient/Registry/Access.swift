// SPDX-License-Identifier: Apache-2.0

public import DMABuf
import DMABufConnection
public import DMABufModel
public import DMABufSystem
import DMABufWire
import SystemPackage

/// An access that is under way; it ends with ``RegistryConnection/endAccess(_:until:)``. One that is dropped instead goes
/// on, and moves of its buffer wait for it until their deadline.
public struct OngoingAccess: ~Copyable {
    public let attachment: AttachmentID
    public let generation: Generation
    /// nil: it was begun by message.
    let word: GrantedWord?
    let stamp: UInt64
    let losses: Int
}

extension RegistryConnection {
    /// An access from its begin to its end: the fences are waited for, the access is begun, `body` runs, the access ends.
    ///
    /// Throws ``Refusal/timedOut(waitingFor:)`` when a fence does not end in time, and ``Refusal/revoked`` when the access
    /// was cut off meanwhile: what `body` wrote is lost then. `body` brackets what the CPU does itself.
    public mutating func access<Result>(
        _ attached: AttachedBuffer, _ access: DMABufModel.Access, until deadline: Deadline,
        _ body: (DescribedBuffer) throws(DMABufError) -> Result
    ) throws(RegistryError) -> Result {
        let ongoing = try beginAccess(attached, access, until: deadline)
        return try finish(ongoing, until: deadline) { () throws(DMABufError) in try body(attached.buffer) }
    }

    /// Runs `body`, and ends the access whatever it throws.
    mutating func finish<Result>(
        _ ongoing: consuming OngoingAccess, until deadline: Deadline, _ body: () throws(DMABufError) -> Result
    ) throws(RegistryError) -> Result {
        let result: Swift.Result<Result, DMABufError>
        do throws(DMABufError) { result = .success(try body()) } catch { result = .failure(error) }
        guard try endAccess(ongoing, until: deadline) == .ok else { throw .ruledOut(.revoked) }
        do throws(DMABufError) { return try result.get() } catch { throw .local(error) }
    }

    /// Begins an access on the generation that was attached or mapped, once its fences have ended and no move is under way.
    ///
    /// Where the attachment has a word in this client's page and nothing is pending, this makes no system call and sends
    /// no message. Throws ``Refusal/stale(current:)`` after a move: map then. Throws ``Refusal/moving(until:)`` when a move
    /// does not end by the deadline.
    public mutating func beginAccess(
        _ attached: AttachedBuffer, _ access: DMABufModel.Access, until deadline: Deadline
    ) throws(RegistryError) -> OngoingAccess {
        guard let word = attached.word, var held = pages?.held(word, attached.attachment),
            held.generation == attached.generation, access.isValid, held.access.isSuperset(of: access)
        else { return try beginByMessage(attached, access, until: deadline) }
        var hasWaited = false
        var stamp = held.stamp
        while true {
            let entered = pages?.enter(held)
            if pages?.registryIsGone == true {
                _ = pages?.leave(held)
                return try beginWithNext(attached, access, until: deadline)
            }
            guard let value = entered else {
                _ = pages?.leave(held)
                throw .connection(.closed)
            }
            if value.rawValue == stamp || hasWaited && value.stamp == stamp && !value.isMoving {
                return begun(attached, held, stamp)
            }
            try backOut(held, until: deadline)
            if value.isMoving {
                try waitForMove(held, value, until: deadline)
            } else if value.stamp == stamp {
                try waitForFences(attached, access, until: deadline)
                hasWaited = true
            } else if try ask(whether: access, attached, isStillGood: value, until: deadline) {
                // It has been counted and asked for; what the slot says now it says of this attachment, too.
                stamp = value.stamp
                pages?.renew(attached.attachment, stamp)
                guard value.hasFences, !hasWaited else { return begun(attached, held, stamp) }
                if let counted = pages?.held(word, attached.attachment) { try backOut(counted, until: deadline) }
            }
            // What was asked meanwhile may have been asked of another registry, which has other pages.
            guard let present = pages?.held(word, attached.attachment), present.generation == attached.generation else {
                return try beginByMessage(attached, access, until: deadline)
            }
            (held, stamp) = (present, present.stamp)
        }
    }

    private func begun(_ attached: AttachedBuffer, _ held: ClientPages.Held, _ stamp: UInt64) -> OngoingAccess {
        OngoingAccess(
            attachment: attached.attachment, generation: attached.generation, word: attached.word, stamp: stamp,
            losses: held.losses)
    }

    /// Ends an access. ``AttachmentState/ok``: what was written is there. Anything else: it is lost.
    public mutating func endAccess(
        _ ongoing: consuming OngoingAccess, until deadline: Deadline
    ) throws(RegistryError) -> AttachmentState {
        guard let word = ongoing.word else { return try endByMessage(ongoing, until: deadline) }
        // Its count goes with this client to the next registry, and is taken back there.
        if pages?.registryIsGone == true, try !resume(until: max(deadline, .after(answersWithin))) {
            throw .connection(.closed)
        }
        // Its word is another's, if it is over.
        guard let held = pages?.held(word, ongoing.attachment), let (value, isLast) = pages?.leave(held),
            let value
        else { return .dead }
        if value.stamp == ongoing.stamp, !value.isMoving { return .ok }
        let isLost = held.generation != ongoing.generation || held.losses != ongoing.losses
        if value.isMoving, isLast, try acknowledged(held, until: deadline), !isLost { return .ok }
        let state = try stateByMessage(ongoing.attachment, until: deadline)
        return state == .ok && isLost ? .revoked : state
    }
}

// What is done when something is pending. The end of an access has a moment of its own, however long the work took.

extension RegistryConnection {
    private mutating func beginWithNext(
        _ attached: AttachedBuffer, _ access: DMABufModel.Access, until deadline: Deadline
    ) throws(RegistryError) -> OngoingAccess {
        guard try resume(until: deadline.advanced(by: answersWithin)) else { throw .connection(.closed) }
        return try beginAccess(attached, access, until: deadline)
    }

    private mutating func beginByMessage(
        _ attached: AttachedBuffer, _ access: DMABufModel.Access, until deadline: Deadline
    ) throws(RegistryError) -> OngoingAccess {
        try waitForFences(attached, access, until: deadline)
        let losses = underWay.marks.losses(of: attached.attachment)
        try ask(.beginAccess(attached.attachment, attached.generation, access), patient: deadline)
        return OngoingAccess(
            attachment: attached.attachment, generation: attached.generation, word: nil, stamp: 0, losses: losses)
    }

    /// Whoever has lost one access may be inside another by now, and well.
    private mutating func endByMessage(
        _ ongoing: borrowing OngoingAccess, until deadline: Deadline
    ) throws(RegistryError) -> AttachmentState {
        let state = try stateByMessage(ongoing.attachment, until: deadline)
        let isLost = underWay.marks.losses(of: ongoing.attachment) != ongoing.losses
        return state == .ok && isLost ? .revoked : state
    }

    private mutating func stateByMessage(
        _ attachment: AttachmentID, until deadline: Deadline
    ) throws(RegistryError) -> AttachmentState {
        let end = max(deadline, .after(answersWithin))
        do throws(RegistryError) {
            guard case .accessEnded(let state) = try ask(.endAccess(attachment), until: end) else { return .dead }
            return state
        } catch {
            // Another registry has not let it go on.
            guard case .ruledOut(.notInAccess) = error else { throw error }
            return .revoked
        }
    }

    private mutating func waitForFences(
        _ attached: AttachedBuffer, _ access: DMABufModel.Access, until deadline: Deadline
    ) throws(RegistryError) {
        _ = try waitForPromises(attached, .waited(before: access), until: deadline)
    }

    /// Waits for what clients of the registry have promised.
    mutating func waitForPromises(
        _ attached: AttachedBuffer, _ usage: Usage, until deadline: Deadline
    ) throws(RegistryError) -> FenceStatus {
        while true {
            do throws(RegistryError) {
                let request = Request.waiting(attached.attachment, usage, until: deadline)
                // The wait has its own end, and is answered then.
                guard case .waited(let status) = try ask(request, patient: deadline) else { return .ok }
                return status
            } catch {
                guard error.mayWaitOn(until: deadline) else { throw error }
            }
        }
    }

    private mutating func waitForMove(
        _ held: ClientPages.Held, _ value: SlotValue, until deadline: Deadline
    ) throws(RegistryError) {
        do throws(Errno) {
            if try pages?.wait(held, while: value, until: deadline) == true { return }
        } catch { throw .local(.system("wait for the end of a move", error)) }
        throw .ruledOut(.moving(until: Instant(nanoseconds: deadline.nanoseconds)))
    }

    /// Takes a count back. A move may have seen it, and then waits for this client.
    private mutating func backOut(_ held: ClientPages.Held, until deadline: Deadline) throws(RegistryError) {
        guard let (value, isLast) = pages?.leave(held), let value, value.isMoving, isLast else { return }
        _ = try acknowledged(held, until: deadline)
    }

    /// Whether the move had counted this attachment. If it had not, nobody waits for it.
    private mutating func acknowledged(_ held: ClientPages.Held, until deadline: Deadline) throws(RegistryError) -> Bool
    {
        let end = max(deadline, .after(answersWithin))
        do throws(RegistryError) {
            try acknowledge(held.attachment, held.generation, until: end)
            return true
        } catch {
            if case .ruledOut = error { return false }
            throw error
        }
    }

    /// Something was renewed for somebody: whether it was for this attachment, the registry says. It is asked to begin an
    /// access, which holds off a move meanwhile; then the access is counted here, and that one ended again.
    ///
    /// A stamp is given once: if the slot says the same before the question and after the count, it said so all the time,
    /// and nothing was taken from anybody since the answer. True: counted.
    private mutating func ask(
        whether access: DMABufModel.Access, _ attached: AttachedBuffer, isStillGood value: SlotValue,
        until deadline: Deadline
    ) throws(RegistryError) -> Bool {
        do throws(RegistryError) {
            try ask(.beginAccess(attached.attachment, attached.generation, access), patient: deadline)
        } catch {
            if case .ruledOut(.moving) = error { return false }
            throw error
        }
        guard let word = attached.word, let held = pages?.held(word, attached.attachment) else {
            _ = try stateByMessage(attached.attachment, until: deadline)
            return false
        }
        let now = pages?.enter(held)
        let isSame = now.map { $0.stamp == value.stamp && !$0.isMoving } ?? false
        if !isSame { try backOut(held, until: deadline) }
        let state = try stateByMessage(attached.attachment, until: deadline)
        if state != .ok {
            if isSame, let held = pages?.held(word, attached.attachment) { try backOut(held, until: deadline) }
            throw .ruledOut(state == .dead ? .dead : .revoked)
        }
        return isSame
    }
}

extension Request {
    /// `deadline` ends the wait.
    static func waiting(_ attachment: AttachmentID, _ usage: Usage, until deadline: Deadline) -> Request {
        // One wait is no longer than one fence.
        .wait(attachment, usage, within: min(Interval(deadline.remaining), FenceTerms.longestInterval))
    }
}

extension RegistryError {
    /// Whether a wait was over before its asker's deadline was: a fence that is renewed outlasts one wait.
    func mayWaitOn(until deadline: Deadline) -> Bool {
        if case .ruledOut(.timedOut) = self { !deadline.hasPassed } else { false }
    }
}
