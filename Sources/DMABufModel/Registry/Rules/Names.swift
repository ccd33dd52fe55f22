// SPDX-License-Identifier: Apache-2.0

// Rule: names.
//
// A name belongs to the uid that gave it and leads to one buffer. It resolves for whoever has any right on the buffer
// without a token; for others there is none. A list shows the same buffers that names lead to, and no others.

extension Registry {
    static let longestName = 255

    mutating func name(_ id: BufferID, _ name: String, _ asker: Asker) throws(Refusal) -> Answer {
        let buffer = try findOwned(id, asker)
        guard !buffers[buffer].isWithdrawn else { throw .bufferEnded }
        try checkName(name, of: buffers[buffer].user)
        guard buffers[buffer].names.count < Int(limits.namesPerBuffer) else {
            throw .tooMany(.names, limit: limits.namesPerBuffer)
        }
        addName(name, to: buffer)
        changed(.buffer(id))
        return .done
    }

    func checkName(_ name: String, of user: Slot) throws(Refusal) {
        guard !name.isEmpty, name.utf8.count <= Self.longestName else { throw .malformed }
        guard names[NameKey(uid: users[user].uid, name: name)] == nil else { throw .nameTaken }
    }

    mutating func addName(_ name: String, to buffer: Slot) {
        names[NameKey(uid: users[buffers[buffer].user].uid, name: name)] = buffer
        buffers[buffer].names.append(name)
    }

    mutating func forgetNames(of buffer: Slot) {
        let uid = users[buffers[buffer].user].uid
        for name in buffers[buffer].names { names[NameKey(uid: uid, name: name)] = nil }
        buffers[buffer].names = []
    }

    func lookup(_ name: String, _ uid: UInt32?, _ asker: Asker) throws(Refusal) -> Answer {
        let buffer = try find(name, uid, asker)
        return .found(buffers[buffer].id, buffers[buffer].generation)
    }

    /// What a name of `uid`'s, or of the asker's own, leads to.
    func find(_ name: String, _ uid: UInt32?, _ asker: Asker) throws(Refusal) -> Slot {
        let key = NameKey(uid: uid ?? clients[asker.client].identity.uid, name: name)
        guard let buffer = names[key], !plainRights(of: asker.client, on: buffer).isEmpty else { throw .noSuchBuffer }
        return buffer
    }

    /// A part of the list looks at so many buffers, and names so few that its answer is one message.
    private static let lookedAt: Slot = 1024
    private static let listed = 12

    func list(from cursor: UInt32, _ asker: Asker) -> Answer {
        var found: [Listing] = []
        guard var slot = Slot(exactly: cursor) else { return .listed([], next: 0) }
        let end = min(buffers.end, slot.addingReportingOverflow(Self.lookedAt).partialValue)
        while slot < end, found.count < Self.listed {
            if isSeen(slot, asker) { found.append(listing(slot)) }
            slot += 1
        }
        return .listed(found, next: slot < buffers.end ? UInt32(slot) : 0)
    }

    private func isSeen(_ slot: Slot, _ asker: Asker) -> Bool {
        buffers.contains(slot) && !buffers[slot].isEnding && !plainRights(of: asker.client, on: slot).isEmpty
    }

    func listing(_ buffer: Slot) -> Listing {
        let entry = buffers[buffer]
        var state: BufferState = []
        if entry.move != nil { state.insert(.moving) }
        if entry.isSuspect { state.insert(.quarantined) }
        if entry.isWithdrawn { state.insert(.withdrawn) }
        if entry.pinned > 0 { state.insert(.pinned) }
        if let claim = entry.claims.first, tickets[claims[claim].ticket].isGranted { state.insert(.locked) }
        return Listing(
            buffer: entry.id, generation: entry.generation, byteCount: entry.backing.byteCount,
            owner: users[entry.user].uid, attachments: UInt32(entry.attachments.count), kept: entry.kept,
            state: state, names: entry.names)
    }

    func inspect(_ id: BufferID, _ token: TokenID?, _ asker: Asker) throws(Refusal) -> Answer {
        let buffer = try findBuffer(id, needing: .inspect, showing: token, asker).buffer
        let all = bufferAttachments.slots(of: buffers[buffer].attachments).prefix(Holder.listLimit)
        return .inspected(
            Inspection(
                listing: listing(buffer), backing: buffers[buffer].backing,
                holders: all.map { Holder(attachments[$0].id, clients[attachments[$0].client].id) },
                quarantined: bufferQuarantine.slots(of: buffers[buffer].quarantine).map { quarantined[$0].generation },
                fences: summary(of: buffer, .bookkeep)))
    }
}
