// SPDX-License-Identifier: Apache-2.0

// Rule: what survives.
//
// The registry's process may die at any moment, and another takes its place. Buffers, their generations, names and shares,
// tokens, clients and their attachments outlive it: whoever serves is told after each step what of these has changed, writes
// it down before anybody hears of the step, and begins the next registry with what was written. What is of the moment does
// not: fences, locks, moves, accesses, waits, notices, and generations that were left behind already.
//
// A client that was there before is *absent* until it has come back; it keeps its number, what it owns and its
// attachments, and hears nothing meanwhile. One that is not back when a bounded grace is over is dead, and what was its goes
// as at any death. Only its own uid comes back as it.

extension Registry {
    /// Notes a change, where somebody wants to know.
    mutating func changed(_ change: Change) {
        if keepsChanges { changes.append(change) }
    }

    public var hasChanges: Bool { !changes.isEmpty }

    /// What has changed since this was asked last, each once, in the order of first change. `taken` is emptied first; its
    /// space is used again, for every request asks this.
    public mutating func takeChanges(into taken: inout [Change]) {
        taken.removeAll(keepingCapacity: true)
        swap(&taken, &changes)
        if taken.count == 2, taken[0] == taken[1] { taken.removeLast() }
        if taken.count <= 2 { return }
        var seen: Set<Change> = []
        taken.removeAll { !seen.insert($0).inserted }
    }

    /// As above, for the rarer askers.
    @discardableResult
    public mutating func takeChanges() -> [Change] {
        var taken: [Change] = []
        takeChanges(into: &taken)
        return taken
    }

    // MARK: What is so now; nil once it has ended

    public func durable(_ id: ClientID) -> DurableClient? {
        clientSlots[id].map { DurableClient(id: id, uid: clients[$0].identity.uid) }
    }

    public func durable(_ id: BufferID) -> DurableBuffer? {
        guard let slot = bufferSlots[id], !buffers[slot].isEnding else { return nil }
        let buffer = buffers[slot]
        return DurableBuffer(
            id: id, uid: users[buffer.user].uid, owner: buffer.owner.map { clients[$0].id }, kept: buffer.kept,
            generation: buffer.generation, backing: buffer.backing, isWithdrawn: buffer.isWithdrawn,
            isSuspect: buffer.isSuspect, names: buffer.names, shares: buffer.shares)
    }

    public func durable(_ id: TokenID) -> DurableToken? {
        guard let slot = tokenSlots[id] else { return nil }
        let token = tokens[slot]
        return DurableToken(
            id: id, buffer: buffers[token.buffer].id, maker: token.maker, rights: token.rights, uses: token.uses,
            end: token.end, parent: token.parent.map { tokens[$0].id })
    }

    public func durable(_ id: AttachmentID) -> DurableAttachment? {
        guard let slot = attachmentSlots[id] else { return nil }
        let attachment = attachments[slot]
        return DurableAttachment(
            id: id, buffer: buffers[attachment.buffer].id, client: clients[attachment.client].id,
            access: attachment.terms.access, mobility: attachment.terms.mobility, rights: attachment.rights,
            generation: attachment.generation, state: attachment.state, isBarred: attachment.isBarred,
            isCondemned: attachment.isCondemned, isSilent: attachment.isSilent, isPinned: attachment.isPinned,
            token: attachment.token.map { tokens[$0].id }, end: attachment.leaseEnd)
    }

    /// All of it, the older first; a token comes after the one that it was delegated from.
    public var durable: Durable {
        var all = Durable()
        all.clients = clients.slots.compactMap { durable(clients[$0].id) }.sorted { $0.id.rawValue < $1.id.rawValue }
        all.buffers = buffers.slots.compactMap { durable(buffers[$0].id) }
        let byDepth = tokens.slots.sorted { tokens[$0].depth < tokens[$1].depth }
        all.tokens = byDepth.compactMap { durable(tokens[$0].id) }
        all.attachments = attachments.slots.compactMap { durable(attachments[$0].id) }
            .sorted { $0.id.rawValue < $1.id.rawValue }
        return all
    }
}
