// SPDX-License-Identifier: Apache-2.0

// Rule: a registry begins with what has survived.
//
// What does not fit together is left out, the smaller thing for the larger one: an attachment whose buffer or client is
// missing, a token whose buffer or parent is missing. Charges are made without asking: what was granted once is not
// refused now. A buffer that nobody keeps any more ends in the same step, and its memory is released as ever.

extension Registry {
    /// Into a registry that has not served yet. Numbers are given from `firstNumber` on: none that was given before.
    public mutating func restore(
        _ durable: Durable, numbersFrom firstNumber: UInt64, at now: Instant, into effects: inout Effects
    ) {
        lastNumber = max(lastNumber, firstNumber)
        step(at: now, &effects) { registry in
            if !durable.attachments.isEmpty { registry.startSettling() }
            for client in durable.clients { registry.restore(client) }
            for buffer in durable.buffers { registry.restore(buffer) }
            for token in durable.tokens { registry.restore(token) }
            for attachment in durable.attachments { registry.restore(attachment) }
            registry.endUnkept()
        }
    }

    private mutating func restore(_ client: DurableClient) {
        guard client.id.rawValue != 0, client.uid != Identity.overflowUID, clientSlots[client.id] == nil else { return }
        let user = findUser(client.uid)
        users[user].clients += 1
        let slot = clients.insert(
            Client(id: client.id, identity: Identity(uid: client.uid, pid: 0), user: user))
        clients[slot].absence = deadlines.add(now + limits.longestAbsence, for: .absence(slot))
        clientSlots[client.id] = slot
        lastNumber = max(lastNumber, client.id.rawValue)
    }

    private mutating func restore(_ buffer: DurableBuffer) {
        guard bufferSlots[buffer.id] == nil, buffer.backing.byteCount > 0 else { return }
        let user = findUser(buffer.uid)
        let owner = buffer.owner.flatMap { clientSlots[$0] }.flatMap { clients[$0].user == user ? $0 : nil }
        charge(.buffers, 1, to: user)
        charge(.bytes, buffer.backing.byteCount, to: user)
        charge(.descriptors, UInt64(buffer.backing.descriptorCount), to: user)
        let slot = buffers.insert(
            Buffer(
                id: buffer.id, user: user, owner: owner, kept: buffer.kept, generation: buffer.generation,
                backing: buffer.backing, isWithdrawn: buffer.isWithdrawn))
        bufferSlots[buffer.id] = slot
        buffers[slot].shares = Array(buffer.shares.prefix(Int(limits.sharesPerBuffer)))
        if let owner { ownedLinks.append(slot, to: &clients[owner].owned) }
        for name in buffer.names where names[NameKey(uid: buffer.uid, name: name)] == nil { addName(name, to: slot) }
        if buffer.isSuspect { suspect(slot) }
    }

    private mutating func restore(_ token: DurableToken) {
        guard let buffer = bufferSlots[token.buffer], tokenSlots[token.id] == nil else { return }
        var parent: Slot?
        if let id = token.parent {
            guard let slot = tokenSlots[id], tokens[slot].buffer == buffer else { return }
            guard token.rights.isSubset(of: tokens[slot].rights) else { return }
            parent = slot
        }
        let slot = tokens.insert(
            Token(
                id: token.id, buffer: buffer, maker: token.maker, rights: token.rights, uses: token.uses,
                end: token.end, parent: parent, depth: parent.map { tokens[$0].depth + 1 } ?? 0))
        tokenSlots[token.id] = slot
        bufferTokens.append(slot, to: &buffers[buffer].tokens)
        if let parent { parentTokens.append(slot, to: &tokens[parent].children) }
        if let end = token.end { tokens[slot].timer = deadlines.add(end, for: .token(slot)) }
    }

    private mutating func restore(_ old: DurableAttachment) {
        guard let buffer = bufferSlots[old.buffer], let client = clientSlots[old.client],
            old.id.rawValue != 0, attachmentSlots[old.id] == nil, old.access.isValid,
            old.generation <= buffers[buffer].generation
        else { return }
        let slot = attachments.insert(
            Attachment(
                id: old.id, buffer: buffer, client: client, generation: old.generation, rights: old.rights,
                terms: AttachTerms(old.access, old.mobility)))
        attachmentSlots[old.id] = slot
        attachments[slot].state = old.state
        attachments[slot].isBarred = old.isBarred
        attachments[slot].isSilent = old.isSilent && old.state != .ok
        attachments[slot].isCondemned = old.isCondemned && old.state == .dead
        bufferAttachments.append(slot, to: &buffers[buffer].attachments)
        clientAttachments.append(slot, to: &clients[client].attachments)
        if let token = old.token.flatMap({ tokenSlots[$0] }), tokens[token].buffer == buffer {
            attachments[slot].token = token
            tokenAttachments.append(slot, to: &tokens[token].attachments)
        }
        if old.state != .dead { buffers[buffer].live += 1 }
        charge(.attachments, 1, to: clients[client].user)
        unsettle(slot)
        if old.isPinned, old.state == .ok, old.generation == buffers[buffer].generation { setPinned(slot) }
        if let end = old.end, old.state != .dead { startLease(of: slot, until: end) }
        lastNumber = max(lastNumber, old.id.rawValue)
        if old.isCondemned, old.state != .dead { revokeForGood(slot, .ignoredLease) }
    }

    private mutating func endUnkept() {
        for slot in buffers.slots where !buffers[slot].isEnding && buffers[slot].owner == nil {
            if buffers[slot].kept == .owner { end(slot) } else { endIfUnused(slot) }
        }
    }

    // MARK: Absence

    /// A client that was there before the restart, and is here again. The server has checked its secret; it has the uid that
    /// it had, or this is somebody else.
    public mutating func comeBack(_ id: ClientID, as identity: Identity, at now: Instant, into effects: inout Effects)
        -> Bool
    {
        var isBack = false
        step(at: now, &effects) { registry in
            guard let slot = registry.clientSlots[id], registry.clients[slot].absence != nil,
                registry.clients[slot].identity.uid == identity.uid
            else { return }
            registry.deadlines.cancel(&registry.clients[slot].absence)
            registry.clients[slot].identity = identity
            registry.changed(.client(id))
            registry.askAgain(slot)
            isBack = true
        }
        return isBack
    }

    /// It has not heard which of its attachments are asked back.
    private mutating func askAgain(_ client: Slot) {
        for slot in clientAttachments.slots(of: clients[client].attachments) {
            guard let revocation = attachments[slot].revocation else { continue }
            let terms = revocations[revocation].terms
            notify(
                client,
                .revoke(
                    attachments[slot].id, buffers[attachments[slot].buffer].id, isFinal: terms.isFinal,
                    until: revocations[revocation].until))
        }
    }

    mutating func absenceEnded(_ slot: Slot) {
        clients[slot].absence = nil
        die(slot)
    }

    /// How many clients of before are still awaited.
    public var absentCount: Int { clients.slots.count { clients[$0].absence != nil } }
}
