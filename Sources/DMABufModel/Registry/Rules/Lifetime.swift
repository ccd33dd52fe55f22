// SPDX-License-Identifier: Apache-2.0

// Rule: lifetime.
//
// A buffer lives until its owner's client is gone (`owner`), until its owner and the last attachment are gone
// (`lastAttachment`), or until it is withdrawn (`registry`; the attached may finish). When it ends, every wait for it is
// answered, every attachment ended, and all concerned are told once. Its memory is released only when that is verified.

extension Registry {
    mutating func register(_ id: BufferID, _ registration: Registration, _ asker: Asker) throws(Refusal) -> Answer {
        let backing = registration.backing
        guard bufferSlots[id] == nil else { throw .numberTaken }
        guard backing.byteCount > 0 else { throw .malformed }
        let user = clients[asker.client].user
        try check(.buffers, 1, of: user)
        try check(.bytes, backing.byteCount, of: user)
        try check(.descriptors, UInt64(backing.descriptorCount), of: user)
        if let name = registration.name { try checkName(name, of: user) }
        charge(.buffers, 1, to: user)
        charge(.bytes, backing.byteCount, to: user)
        charge(.descriptors, UInt64(backing.descriptorCount), to: user)
        let slot = buffers.insert(
            Buffer(id: id, user: user, owner: asker.client, kept: registration.kept, backing: backing))
        bufferSlots[id] = slot
        ownedLinks.append(slot, to: &clients[asker.client].owned)
        if let name = registration.name { addName(name, to: slot) }
        changed(.buffer(id))
        return .registered(id, .first)
    }

    mutating func withdraw(_ id: BufferID, _ asker: Asker) throws(Refusal) -> Answer {
        let buffer = try findOwned(id, asker)
        guard !buffers[buffer].isWithdrawn else { throw .bufferEnded }
        buffers[buffer].isWithdrawn = true
        forgetNames(of: buffer)
        if buffers[buffer].kept == .registry { buffers[buffer].kept = .lastAttachment }
        ownerLeft(buffer)
        return .done
    }

    /// The owner has let go or died.
    private mutating func ownerLeft(_ buffer: Slot) {
        if let owner = buffers[buffer].owner { ownedLinks.remove(buffer, from: &clients[owner].owned) }
        buffers[buffer].owner = nil
        changed(.buffer(buffers[buffer].id))
        if buffers[buffer].kept == .owner || isUnused(buffer) { return end(buffer) }
        for slot in bufferAttachments.slots(of: buffers[buffer].attachments) {
            let (attachment, id) = (attachments[slot].id, buffers[buffer].id)
            let notice: Notice = buffers[buffer].isWithdrawn ? .withdrawn(attachment, id) : .ownerGone(attachment, id)
            notify(attachments[slot].client, notice)
        }
    }

    private func isUnused(_ buffer: Slot) -> Bool {
        buffers[buffer].kept == .lastAttachment && buffers[buffer].owner == nil && buffers[buffer].live == 0
    }

    /// At the end of the step, so that no rule loses a buffer under its feet.
    mutating func endIfUnused(_ buffer: Slot) {
        if !buffers[buffer].isEnding, isUnused(buffer) { unused.append(buffers[buffer].id) }
    }

    mutating func endUnused() {
        while let id = unused.popLast() {
            if let buffer = bufferSlots[id], !buffers[buffer].isEnding, isUnused(buffer) { end(buffer) }
        }
    }

    mutating func end(_ buffer: Slot) {
        // From here on nobody can find it, so nothing below can grant anything on it.
        buffers[buffer].isEnding = true
        changed(.buffer(buffers[buffer].id))
        publish(buffer, renewing: true)
        if let owner = buffers[buffer].owner { ownedLinks.remove(buffer, from: &clients[owner].owned) }
        buffers[buffer].owner = nil
        forgetNames(of: buffer)
        while let slot = buffers[buffer].waits.first { refuse(wait: slot, .bufferEnded) }
        endMove(of: buffer, .aborted(.bufferEnded))
        while let slot = buffers[buffer].claims.first { bufferLost(claim: slot, .bufferEnded) }
        while let slot = buffers[buffer].revocations.first { finish(revocation: slot, .refused(.bufferEnded)) }
        while let slot = buffers[buffer].attachments.first {
            notify(attachments[slot].client, .attachmentEnded(attachments[slot].id, buffers[buffer].id))
            remove(attachment: slot)
        }
        while let slot = buffers[buffer].tokens.first { _ = withdraw(token: slot) }
        quarantineLive(buffer)
    }
}

// Rule: death.
//
// Death is what the kernel certifies. When a client dies, in one step: its moves are aborted, its locks released, its waits
// dropped, its attachments detached, its quota returned; its eventfd fences end as owner-dead at once, its sync_files are
// still waited for, since a device may still be writing; its buffers end or go on without it. Everyone concerned is told
// once.

extension Registry {
    mutating func die(_ slot: Slot) {
        clientSlots[clients[slot].id] = nil
        clients[slot].isDead = true
        deadlines.cancel(&clients[slot].absence)
        changed(.client(clients[slot].id))
        // Its own waits go first: the end of its moves would grant them.
        while let wait = clients[slot].waits.first { remove(wait: wait) }
        while let buffer = clients[slot].moves.first { endMove(of: buffer, .aborted(.asked)) }
        if let ticket = clients[slot].ticket { remove(ticket: ticket) }
        while let attachment = clients[slot].attachments.first {
            let buffer = attachments[attachment].buffer
            remove(attachment: attachment)
            endIfUnused(buffer)
        }
        while let fence = clients[slot].fences.first { ownerDied(fence: fence) }
        while let buffer = clients[slot].owned.first { ownerLeft(buffer) }
        let user = clients[slot].user
        let unread = UInt64(clients[slot].unread)
        clients.remove(slot)
        users[user].clients -= 1
        users[user].ledger.notices -= unread
        used.notices -= unread
        forgetUser(user)
    }
}
