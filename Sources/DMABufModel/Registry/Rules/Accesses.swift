// SPDX-License-Identifier: Apache-2.0

// Rule: access.
//
// An access begins on the present generation, within what was attached for, while no move is under way. Who is inside one
// is a *holder*. An access that was cut off ends as revoked: what it wrote is lost.

extension Registry {
    mutating func beginAccess(_ id: AttachmentID, _ generation: Generation, _ access: Access, _ asker: Asker)
        throws(Refusal) -> Answer
    {
        let slot = try findUsable(id, asker)
        let buffer = attachments[slot].buffer
        try checkNotSuspect(buffer, asker)
        try checkCurrent(generation, of: buffer)
        try checkCurrent(attachments[slot].generation, of: buffer)
        if let move = buffers[buffer].move { throw .moving(until: move.until) }
        guard access.isValid else { throw .malformed }
        guard attachments[slot].terms.access.isSuperset(of: access) else {
            throw .forbidden(missing: Rights.needed(for: access.subtracting(attachments[slot].terms.access)))
        }
        guard attachments[slot].revocation == nil else { throw .revoked }
        try checkSettled(buffer, for: access, by: slot)
        settle(slot)
        attachments[slot].accesses += 1
        return .done
    }

    mutating func endAccess(_ id: AttachmentID, _ asker: Asker) throws(Refusal) -> Answer {
        let slot = try findAttachment(id, asker)
        if attachments[slot].lost > 0 {
            attachments[slot].lost -= 1
            return .accessEnded(attachments[slot].state == .dead ? .dead : .revoked)
        }
        guard attachments[slot].accesses > 0 else {
            // Who counts for itself asks what has become of an access that it has ended.
            guard attachments[slot].hasWord else { throw .notInAccess }
            return .accessEnded(attachments[slot].state)
        }
        attachments[slot].accesses -= 1
        return .accessEnded(.ok)
    }

    /// What is under way is cut off; its ends are still answered.
    mutating func loseAccesses(_ slot: Slot) {
        attachments[slot].lost += attachments[slot].accesses
        attachments[slot].accesses = 0
        attachments[slot].counted = 0
    }
}

// Rule: leases.
//
// An attachment may carry an end, agreed when it was made; it may be renewed before. At its end the revoke ladder starts,
// for good: an agreed term, not a heartbeat. A revocation that may come back does not take it away.

extension Registry {
    mutating func renew(_ id: AttachmentID, _ lease: Interval, _ asker: Asker) throws(Refusal) -> Answer {
        let slot = try findUsable(id, asker)
        guard attachments[slot].revocation == nil else { throw .revoked }
        guard attachments[slot].lease != nil, lease.nanoseconds > 0 else { throw .malformed }
        startLease(of: slot, until: now + lease)
        return .done
    }

    /// It ends then, and no longer when it was to end before.
    mutating func startLease(of slot: Slot, until end: Instant) {
        deadlines.cancel(&attachments[slot].lease)
        attachments[slot].lease = deadlines.add(end, for: .lease(slot))
        attachments[slot].leaseEnd = end
        changed(.attachment(attachments[slot].id))
    }

    mutating func leaseEnded(_ slot: Slot) {
        attachments[slot].lease = nil
        attachments[slot].leaseEnd = nil
        revokeForGood(slot, .ignoredLease)
    }
}

// Rule: waiting for a move.
//
// Who attaches or maps during a move waits for its end, which is bounded, and is answered then.

extension Registry {
    mutating func waitForMove(of buffer: Slot, _ reason: Wait.Reason, _ asker: Asker) throws(Refusal) {
        try checkWaits(asker)
        addWait(Wait(client: asker.client, number: asker.number, buffer: buffer, reason: reason))
    }

    /// The move is over: those who waited are answered in the order in which they came.
    mutating func endWaitsForMove(of buffer: Slot) {
        var cursor = buffers[buffer].waits.first
        while let slot = cursor {
            cursor = bufferWaits.after(slot)
            let asker = Asker(client: waits[slot].client, number: waits[slot].number)
            switch waits[slot].reason {
            case .fences: continue
            case .attach(let terms):
                remove(wait: slot)
                retry(.attach(buffers[buffer].id, terms), asker)
            case .map(let id):
                remove(wait: slot)
                retry(.map(id), asker)
            }
        }
    }

    private mutating func retry(_ request: Request, _ asker: Asker) {
        guard isAlive(asker.client) else { return }
        do throws(Refusal) {
            let answer: Answer? =
                switch request {
                case .attach(let id, let terms): try attach(id, terms, asker)
                case .map(let id): try map(id, asker)
                default: nil
                }
            if let answer { reply(asker, answer) }
        } catch {
            reply(asker, .refused(error))
        }
    }
}
