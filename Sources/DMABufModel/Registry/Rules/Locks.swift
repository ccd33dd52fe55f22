// SPDX-License-Identifier: Apache-2.0

// Rule: locks.
//
// The kernel documents that importing and exporting sync_files is not atomic and leaves the locking to userspace: this is
// that lock. One request names all its buffers. It takes its place in the queue of each at once, so tickets stand in every
// queue in the same order, and is granted all or nothing when it is first in all of them. So two clients cannot each hold
// what the other waits for, and nobody is overtaken by a younger ticket that wants the same. Who holds a lock or waits for
// one may not ask for another. A lock is numbered and bounded; death and its deadline release it, and a request under an
// old number is refused.

extension Registry {
    mutating func lock(_ ids: [BufferID], _ within: Interval, _ lasting: Interval, _ asker: Asker) throws(Refusal)
        -> Answer?
    {
        try checkMayLock(ids, max(within, lasting), asker)
        var wanted: [Slot] = []
        for id in ids {
            let buffer = try findBuffer(id, needing: .fence, asker).buffer
            try checkNotSuspect(buffer, asker)
            try checkSettled(buffer)
            guard !wanted.contains(buffer) else { throw .malformed }
            wanted.append(buffer)
        }
        let slot = addTicket(wanted, lasting, asker)
        tickets[slot].timer = deadlines.add(now + within, for: .ticket(slot))
        tryGrant(slot)
        return nil
    }

    private func checkMayLock(_ ids: [BufferID], _ longest: Interval, _ asker: Asker) throws(Refusal) {
        if let held = clients[asker.client].ticket { throw .holdsLock(tickets[held].number) }
        guard !ids.isEmpty else { throw .malformed }
        guard ids.count <= Int(limits.buffersPerLock) else { throw .tooMany(.locked, limit: limits.buffersPerLock) }
        guard longest <= limits.longestLock else { throw .tooLong(limit: limits.longestLock) }
    }

    private mutating func addTicket(_ wanted: [Slot], _ lasting: Interval, _ asker: Asker) -> Slot {
        let slot = tickets.insert(
            Ticket(
                number: LockNumber(freshNumber()), client: asker.client, request: asker.number, lasting: lasting))
        clients[asker.client].ticket = slot
        for buffer in wanted {
            let claim = claims.insert(Claim(ticket: slot, buffer: buffer))
            bufferClaims.append(claim, to: &buffers[buffer].claims)
            ticketClaims.append(claim, to: &tickets[slot].claims)
        }
        return slot
    }

    private mutating func tryGrant(_ slot: Slot) {
        guard !tickets[slot].isGranted, obstacle(to: slot) == nil else { return }
        let until = now + tickets[slot].lasting
        tickets[slot].isGranted = true
        deadlines.cancel(&tickets[slot].timer)
        tickets[slot].timer = deadlines.add(until, for: .ticket(slot))
        reply(
            Asker(client: tickets[slot].client, number: tickets[slot].request),
            .locked(tickets[slot].number, until: until))
    }

    /// The first claim of the ticket that cannot be granted yet.
    private func obstacle(to slot: Slot) -> Slot? {
        var cursor = tickets[slot].claims.first
        while let claim = cursor {
            let buffer = claims[claim].buffer
            let isOver = buffers[buffer].isEnding || buffers[buffer].isSuspect
            guard buffers[buffer].claims.first == claim, buffers[buffer].move == nil, !isOver else { return claim }
            cursor = ticketClaims.after(claim)
        }
        return nil
    }

    /// Something that stood in the way on this buffer is gone.
    mutating func grantNext(_ buffer: Slot) {
        if let claim = buffers[buffer].claims.first { tryGrant(claims[claim].ticket) }
    }

    /// Throws unless a request under `number`, or under no lock, may go ahead on the buffer.
    func checkLock(_ number: LockNumber?, on buffer: Slot, _ asker: Asker) throws(Refusal) {
        let first = buffers[buffer].claims.first.map { claims[$0].ticket }
        let granted = first.flatMap { tickets[$0].isGranted ? $0 : nil }
        if let number {
            guard let granted, tickets[granted].number == number, tickets[granted].client == asker.client else {
                throw .lockEnded
            }
        } else if let granted {
            throw .locked(by: tickets[granted].number)
        }
    }

    mutating func unlock(_ number: LockNumber, _ asker: Asker) throws(Refusal) -> Answer? {
        guard let slot = clients[asker.client].ticket, tickets[slot].number == number, tickets[slot].isGranted else {
            throw .lockEnded
        }
        reply(asker, .done)
        remove(ticket: slot)
        return nil
    }

    mutating func ticketExpired(_ slot: Slot) {
        tickets[slot].timer = nil
        if tickets[slot].isGranted {
            notify(tickets[slot].client, .lockEnded(tickets[slot].number))
            return remove(ticket: slot)
        }
        let first = obstacle(to: slot).flatMap { buffers[claims[$0].buffer].claims.first }
        let other = first.map { claims[$0].ticket }
        refuse(ticket: slot, .lockTimedOut(waitingFor: other == slot ? nil : other.map { tickets[$0].number }))
    }

    private mutating func refuse(ticket slot: Slot, _ refusal: Refusal) {
        reply(Asker(client: tickets[slot].client, number: tickets[slot].request), .refused(refusal))
        remove(ticket: slot)
    }

    /// Out of every queue; whoever is first now may be next. Granted only when all are free, so the order of the queues
    /// does not matter.
    mutating func remove(ticket slot: Slot) {
        deadlines.cancel(&tickets[slot].timer)
        clients[tickets[slot].client].ticket = nil
        while let claim = tickets[slot].claims.first { remove(claim: claim) }
        tickets.remove(slot)
    }

    private mutating func remove(claim: Slot) {
        let (buffer, ticket) = (claims[claim].buffer, claims[claim].ticket)
        bufferClaims.remove(claim, from: &buffers[buffer].claims)
        ticketClaims.remove(claim, from: &tickets[ticket].claims)
        claims.remove(claim)
        grantNext(buffer)
    }

    /// A lock that was granted goes on over its other buffers; who still waits is refused.
    mutating func bufferLost(claim: Slot, _ refusal: Refusal) {
        let ticket = claims[claim].ticket
        guard tickets[ticket].isGranted else { return refuse(ticket: ticket, refusal) }
        remove(claim: claim)
        guard tickets[ticket].claims.count == 0 else { return }
        notify(tickets[ticket].client, .lockEnded(tickets[ticket].number))
        remove(ticket: ticket)
    }
}
