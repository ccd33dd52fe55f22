// SPDX-License-Identifier: Apache-2.0

// Rule: move.
//
// Userspace never receives the kernel's `move_notify`, so a move is a protocol that mirrors it. Who has the right begins
// it, on the present generation of a buffer that nobody has pinned, locked or is moving, and that has at most one old
// generation in quarantine. Then:
//
// 1. *invalidating*: every holder (who is inside an access) is told and waited for; the idle are told in the background,
//    but for those who look for themselves: they are told only if they keep old memory. A holder unmaps and acknowledges,
//    naming the fence that ends its use if work is under way.
// 2. *fencing*: all fences of the reservation are waited for, each of which has its own end.
// 3. *copying*: the mover, or the server for memory of its own, fills the new memory.
// 4. commit: the generation grows by one, the old one is quarantined; or abort: the old one goes on.
//
// At the deadline happens what was asked for up front: abort, or go on without the late, whose attachments are REVOKED.
// Whatever dies at whatever step, exactly one generation is live, and everyone who was told of the move is told its end.

extension Registry {
    mutating func beginMove(_ id: BufferID, _ generation: Generation, _ terms: MoveTerms, _ asker: Asker)
        throws(Refusal) -> Answer?
    {
        let (buffer, token) = try findToMove(id, generation, terms, asker)
        spend(token)
        let until = now + terms.within
        let lender = lender(token, to: asker.client, on: buffer)
        buffers[buffer].move = Move(mover: asker.client, terms: terms, lender: lender, until: until)
        buffers[buffer].move?.timer = deadlines.add(until, for: .move(buffer))
        moveLinks.append(buffer, to: &clients[asker.client].moves)
        publish(buffer)
        // The answer comes first: a move with no holder is ready to copy in this same step.
        reply(asker, .moveBegun(generation.next, until: until))
        invalidate(buffer)
        return nil
    }

    /// The buffer, if the asker may move it now, and the token that this takes.
    func findToMove(_ id: BufferID, _ generation: Generation, _ terms: MoveTerms, _ asker: Asker) throws(Refusal)
        -> (buffer: Slot, token: Slot?)
    {
        let found = try findBuffer(id, needing: .move, showing: terms.token, asker)
        let buffer = found.buffer
        try checkCurrent(generation, of: buffer)
        guard terms.within <= limits.longestMove else { throw .tooLong(limit: limits.longestMove) }
        if let move = buffers[buffer].move { throw .moving(until: move.until) }
        try checkMovable(buffer, asker)
        try checkLock(terms.lock, on: buffer, asker)
        if terms.lock == nil, let claim = buffers[buffer].claims.first {
            throw .locked(by: tickets[claims[claim].ticket].number)
        }
        return (buffer, found.token)
    }

    private func checkMovable(_ buffer: Slot, _ asker: Asker) throws(Refusal) {
        try checkNotSuspect(buffer, asker)
        try checkSettled(buffer)
        if buffers[buffer].pinned > 0 {
            throw .pinned(by: holders(of: buffer, asSeenBy: asker.client) { $0.isPinned })
        }
        if buffers[buffer].quarantine.count >= 2 {
            throw .twoInQuarantine(suspects: holders(of: buffer, asSeenBy: asker.client) { $0.isSuspect })
        }
    }

    private mutating func invalidate(_ buffer: Slot) {
        let (id, generation) = (buffers[buffer].id, buffers[buffer].generation)
        guard let until = buffers[buffer].move?.until else { return }
        for slot in bufferAttachments.slots(of: buffers[buffer].attachments) {
            // What is counted of an old generation was cut off, or acknowledged, or is a lie.
            let isCounted = attachments[slot].counted > 0 && attachments[slot].generation == generation
            attachments[slot].counted = 0
            let isHolder = attachments[slot].accesses > 0 || isCounted
            guard attachments[slot].state == .ok, isHolder || !attachments[slot].hasWord else { continue }
            attachments[slot].wasToldOfMove = true
            if isHolder {
                attachments[slot].owesMove = true
                buffers[buffer].move?.owing += 1
            }
            let name = attachments[slot].id
            notify(
                attachments[slot].client,
                isHolder ? .invalidate(name, id, generation, until: until) : .moving(name, id, generation))
        }
        advance(buffer)
    }

    mutating func acknowledge(_ id: AttachmentID, _ generation: Generation, _ fence: FenceTerms?, _ asker: Asker)
        throws(Refusal) -> Answer?
    {
        let slot = try findOwing(id, generation, asker)
        let buffer = attachments[slot].buffer
        if let fence {
            try checkFence(fence, by: asker.client, attachments[slot].rights, on: buffer)
            // A holder's last fence takes a slot that nobody had to reserve: there is one per holder and move. Of an earlier
            // move there can be more.
            if attachments[slot].counted > 0 { try checkSlots(1, on: buffer) }
            add(fence, by: asker.client, on: buffer)
        }
        attachments[slot].accesses = 0
        reply(asker, .done)
        // Said of an earlier move: its word counts what was begun since, and whose end is said again.
        guard attachments[slot].counted == 0 else { return nil }
        attachments[slot].owesMove = false
        moveAnswered(buffer)
        return nil
    }

    mutating func refuseMove(_ id: AttachmentID, _ generation: Generation, _ asker: Asker) throws(Refusal) -> Answer? {
        let slot = try findOwing(id, generation, asker)
        let buffer = attachments[slot].buffer
        guard let move = buffers[buffer].move else { return .done }
        switch move.terms.late {
        case .abort:
            endMove(of: buffer, .aborted(.refused(by: holder(slot, asSeenBy: move.mover))), answering: asker)
        case .cutOff:
            reply(asker, .done)
            cutOff(slot)
            moveAnswered(buffer)
        }
        return nil
    }

    /// Late, foreign and second acknowledgements all end here.
    private func findOwing(_ id: AttachmentID, _ generation: Generation, _ asker: Asker) throws(Refusal) -> Slot {
        let slot = try findAttachment(id, asker)
        let buffer = attachments[slot].buffer
        try checkCurrent(generation, of: buffer)
        guard attachments[slot].owesMove else { throw .notOwed(current: buffers[buffer].generation) }
        return slot
    }

    /// One holder less to wait for.
    mutating func moveAnswered(_ buffer: Slot) {
        guard buffers[buffer].move != nil else { return }
        buffers[buffer].move?.owing -= 1
        advance(buffer)
    }

    /// On to the next phase, if nothing of this one is left.
    mutating func advance(_ buffer: Slot) {
        guard let move = buffers[buffer].move else { return }
        if move.phase == .invalidating, move.owing == 0 {
            buffers[buffer].move?.phase = .fencing
            // Fences have their own ends; this phase needs no other.
            var timer = move.timer
            deadlines.cancel(&timer)
            buffers[buffer].move?.timer = timer
        }
        if buffers[buffer].move?.phase == .fencing, buffers[buffer].fences.count == 0 { startCopying(buffer) }
    }

    private mutating func startCopying(_ buffer: Slot) {
        // A mover that is being cut off takes its move with it at the end of this step.
        guard let move = buffers[buffer].move, isAlive(move.mover) else { return }
        let (id, generation, until) = (buffers[buffer].id, buffers[buffer].generation, now + limits.longestCopy)
        buffers[buffer].move?.phase = .copying
        buffers[buffer].move?.until = until
        buffers[buffer].move?.timer = deadlines.add(until, for: .move(buffer))
        switch move.terms.copier {
        case .server:
            effects.append(.startCopy(id, from: generation, to: generation.next, with: move.terms.placement))
        case .mover:
            notify(move.mover, .readyToCopy(id, generation.next, latched(buffer, .bookkeep), until: until))
        }
    }

    mutating func moveExpired(_ buffer: Slot) {
        buffers[buffer].move?.timer = nil
        guard let move = buffers[buffer].move else { return }
        if move.phase == .copying { return endMove(of: buffer, .aborted(.copyLate)) }
        let late = bufferAttachments.slots(of: buffers[buffer].attachments).filter { attachments[$0].owesMove }
        switch move.terms.late {
        case .abort:
            let holders = late.prefix(Holder.listLimit).map { holder($0, asSeenBy: move.mover) }
            endMove(of: buffer, .aborted(.late(holders)))
        case .cutOff:
            for slot in late { cutOff(slot) }
            buffers[buffer].move?.owing = 0
            advance(buffer)
        }
    }

    /// It loses the access, and may map the new generation.
    private mutating func cutOff(_ slot: Slot) {
        let buffer = attachments[slot].buffer
        guard let move = buffers[buffer].move else { return }
        let late = holder(slot, asSeenBy: move.mover)
        if move.cutOff.count < Holder.listLimit { buffers[buffer].move?.cutOff.append(late) }
        attachments[slot].owesMove = false
        attachments[slot].state = .revoked
        attachments[slot].isSilent = true
        changed(.attachment(attachments[slot].id))
        loseAccesses(slot)
        publish(buffer, renewing: true)
        notify(attachments[slot].client, .revoked(attachments[slot].id, buffers[buffer].id, .revoked))
    }
}
