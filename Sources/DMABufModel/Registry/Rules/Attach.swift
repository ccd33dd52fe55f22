// SPDX-License-Identifier: Apache-2.0

// Rule: attach.
//
// Who has the rights for its access may attach, at any time while the buffer lives. It is passed the descriptor of the
// present generation and told which fences to wait for; while the buffer moves it waits, and gets the new generation, or
// the old if the move is aborted. Afterwards it holds an attachment that is OK, charged to its uid.
//
// A *movable* importer lets go when told and maps again; a *revocable* one can lose the buffer for good but not follow it;
// a *pinned* one can do neither: it needs the right, is charged to the pin budget and vetoes moves.

extension Registry {
    mutating func attach(_ id: BufferID, _ terms: AttachTerms, _ asker: Asker) throws(Refusal) -> Answer? {
        guard terms.access.isValid, terms.lease != Interval(nanoseconds: 0) else { throw .malformed }
        let found = try findBuffer(id, needing: needed(terms), showing: terms.token, toAttach: true, asker)
        guard buffers[found.buffer].move == nil else {
            try waitForMove(of: found.buffer, .attach(terms), asker)
            return nil
        }
        return try grantAttach(found, terms, asker)
    }

    private func needed(_ terms: AttachTerms) -> Rights {
        let rights = Rights.needed(for: terms.access)
        return terms.mobility == .pinned ? rights.union(.pin) : rights
    }

    private mutating func grantAttach(
        _ found: (buffer: Slot, rights: Rights, token: Slot?), _ terms: AttachTerms, _ asker: Asker
    ) throws(Refusal) -> Answer {
        let unheard = unheard(of: found.buffer, asker.client)
        for old in unheard { settle(old) }
        try checkAttach(found.buffer, terms, asker)
        let slot = addAttachment(found, terms, asker)
        for old in unheard { remove(attachment: old) }
        spend(found.token)
        let buffer = found.buffer
        let attachment = attachments[slot].id
        effects.append(
            .passDescriptor(
                buffers[buffer].id, buffers[buffer].generation, to: clients[asker.client].id, attachment))
        return .attached(attachment, buffers[buffer].generation, summary(of: buffer, .waited(before: terms.access)))
    }

    private func checkAttach(_ buffer: Slot, _ terms: AttachTerms, _ asker: Asker) throws(Refusal) {
        try checkNotSuspect(buffer, asker)
        if terms.access.contains(.write) || terms.mobility == .pinned { try checkSettled(buffer) }
        let user = clients[asker.client].user
        try check(.attachments, 1, of: user)
        // Who keeps too much old memory from being freed gets nothing new.
        try check(.quarantinedBytes, 0, of: user)
        if terms.mobility == .pinned { try check(.pinnedBytes, buffers[buffer].backing.byteCount, of: user) }
    }

    private mutating func addAttachment(
        _ found: (buffer: Slot, rights: Rights, token: Slot?), _ terms: AttachTerms, _ asker: Asker
    ) -> Slot {
        let buffer = found.buffer
        let id = AttachmentID(freshNumber())
        let slot = attachments.insert(
            Attachment(
                id: id, buffer: buffer, client: asker.client, generation: buffers[buffer].generation,
                rights: found.rights, token: found.token, terms: terms))
        attachmentSlots[id] = slot
        bufferAttachments.append(slot, to: &buffers[buffer].attachments)
        clientAttachments.append(slot, to: &clients[asker.client].attachments)
        if let token = found.token { tokenAttachments.append(slot, to: &tokens[token].attachments) }
        buffers[buffer].live += 1
        charge(.attachments, 1, to: clients[asker.client].user)
        if terms.mobility == .pinned { setPinned(slot) }
        if let lease = terms.lease { startLease(of: slot, until: now + lease) }
        changed(.attachment(id))
        return slot
    }

    /// The present generation's descriptor, for an importer whose mapping is of an older one or was revoked.
    mutating func map(_ id: AttachmentID, _ asker: Asker) throws(Refusal) -> Answer? {
        let slot = try findAttachment(id, asker)
        guard attachments[slot].state != .dead else { throw .dead }
        guard attachments[slot].revocation == nil, !attachments[slot].isBarred else { throw .revoked }
        let buffer = attachments[slot].buffer
        try checkNotSuspect(buffer, asker)
        guard buffers[buffer].move == nil else {
            try waitForMove(of: buffer, .map(id), asker)
            return nil
        }
        settle(slot)
        follow(slot)
        let (generation, access) = (buffers[buffer].generation, attachments[slot].terms.access)
        effects.append(.passDescriptor(buffers[buffer].id, generation, to: clients[asker.client].id, id))
        return .mapped(id, generation, summary(of: buffer, .waited(before: access)))
    }

    /// By mapping the present generation an importer says that it has let the old one go.
    private mutating func follow(_ slot: Slot) {
        clearSuspect(slot)
        attachments[slot].wasToldToFollow = false
        let present = buffers[attachments[slot].buffer].generation
        // Who maps what it has mapped before changes nothing that survives.
        guard attachments[slot].generation != present || attachments[slot].state != .ok else { return }
        attachments[slot].generation = present
        attachments[slot].state = .ok
        attachments[slot].isSilent = false
        changed(.attachment(attachments[slot].id))
    }

    mutating func detach(_ id: AttachmentID, _ asker: Asker) throws(Refusal) -> Answer {
        let slot = try findAttachment(id, asker)
        let buffer = attachments[slot].buffer
        remove(attachment: slot)
        endIfUnused(buffer)
        return .done
    }

    /// Takes an attachment out of everything that knows it.
    mutating func remove(attachment slot: Slot) {
        let (buffer, client) = (attachments[slot].buffer, attachments[slot].client)
        deadlines.cancel(&attachments[slot].lease)
        clearPinned(slot)
        clearSuspect(slot)
        settle(slot)
        buffers[buffer].reserved -= attachments[slot].reserved
        if attachments[slot].state != .dead { buffers[buffer].live -= 1 }
        if let token = attachments[slot].token { tokenAttachments.remove(slot, from: &tokens[token].attachments) }
        bufferAttachments.remove(slot, from: &buffers[buffer].attachments)
        clientAttachments.remove(slot, from: &clients[client].attachments)
        attachmentSlots[attachments[slot].id] = nil
        changed(.attachment(attachments[slot].id))
        uncharge(.attachments, 1, from: clients[client].user)
        let (owesMove, revocation) = (attachments[slot].owesMove, attachments[slot].revocation)
        attachments.remove(slot)
        if let revocation { answered(revocation) }
        if owesMove { moveAnswered(buffer) }
    }
}

// Rule: pin.
//
// Pinning needs the right and room in the budget, on the present generation, while no move is under way. A pin vetoes
// moves until it is taken back or its attachment ends.

extension Registry {
    mutating func pin(_ id: AttachmentID, _ asker: Asker) throws(Refusal) -> Answer {
        let slot = try findUsable(id, asker)
        let buffer = attachments[slot].buffer
        guard attachments[slot].rights.contains(.pin) else { throw .forbidden(missing: .pin) }
        if let move = buffers[buffer].move { throw .moving(until: move.until) }
        try checkSettled(buffer)
        try checkCurrent(attachments[slot].generation, of: buffer)
        guard !attachments[slot].isPinned else { return .done }
        let (byteCount, user) = (buffers[buffer].backing.byteCount, clients[asker.client].user)
        try check(.pinnedBytes, byteCount, of: user)
        setPinned(slot)
        return .done
    }

    mutating func unpin(_ id: AttachmentID, _ asker: Asker) throws(Refusal) -> Answer {
        clearPinned(try findAttachment(id, asker))
        return .done
    }

    mutating func setPinned(_ slot: Slot) {
        let buffer = attachments[slot].buffer
        attachments[slot].isPinned = true
        changed(.attachment(attachments[slot].id))
        buffers[buffer].pinned += 1
        charge(.pinnedBytes, buffers[buffer].backing.byteCount, to: clients[attachments[slot].client].user)
    }

    /// A pinned buffer does not move, so it has the size that was charged.
    mutating func clearPinned(_ slot: Slot) {
        guard attachments[slot].isPinned else { return }
        let buffer = attachments[slot].buffer
        attachments[slot].isPinned = false
        changed(.attachment(attachments[slot].id))
        buffers[buffer].pinned -= 1
        uncharge(.pinnedBytes, buffers[buffer].backing.byteCount, from: clients[attachments[slot].client].user)
    }
}
