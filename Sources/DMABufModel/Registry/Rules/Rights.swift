// SPDX-License-Identifier: Apache-2.0

// Rule: rights.
//
// The owner is the uid that registered; it has all rights. Others have what the owner's shares give to their uid, to one
// of their groups or to everyone, plus what the token they show carries, plus what their attachments were granted
// as long as those last. Who has no right at all on a buffer is told what it would be told if there were none.

extension Registry {
    /// The rights of `client` without a token.
    func plainRights(of client: Slot, on buffer: Slot) -> Rights {
        if clients[client].user == buffers[buffer].user { return .all }
        var rights: Rights = []
        for share in buffers[buffer].shares where isMeant(share.audience, clients[client].identity) {
            rights.formUnion(share.rights)
        }
        return rights
    }

    private func isMeant(_ audience: Share.Audience, _ identity: Identity) -> Bool {
        switch audience {
        case .user(let uid): identity.uid == uid
        case .group(let gid): identity.gids.contains(gid)
        case .everyone: true
        }
    }

    /// The buffer, if the asker has all of `needed` on it, and the token that this takes, to be spent when granted.
    func findBuffer(
        _ id: BufferID, needing needed: Rights, showing token: TokenID? = nil, toAttach: Bool = false, _ asker: Asker
    ) throws(Refusal) -> (buffer: Slot, rights: Rights, token: Slot?) {
        guard let buffer = bufferSlots[id], !buffers[buffer].isEnding else { throw .noSuchBuffer }
        var rights = plainRights(of: asker.client, on: buffer)
        if rights.isSuperset(of: needed), !needed.isEmpty { return (buffer, rights, nil) }
        let shown = token.flatMap { usableToken($0, for: buffer) }
        if let shown { rights.formUnion(tokens[shown].rights) }
        // An attachment made with the rights of another would outlive the withdrawal of that one's token.
        if !toAttach, !rights.isSuperset(of: needed) {
            rights.formUnion(grantedRights(of: asker.client, on: buffer))
        }
        guard !rights.isEmpty else { throw .noSuchBuffer }
        guard rights.isSuperset(of: needed) else { throw .forbidden(missing: needed.subtracting(rights)) }
        return (buffer, rights, shown)
    }

    /// What the client's attachments to the buffer were granted. It walks the shorter of the two chains.
    private func grantedRights(of client: Slot, on buffer: Slot) -> Rights {
        var rights: Rights = []
        _ = firstAttachment(of: client, to: buffer) {
            rights.formUnion($0.rights)
            return false
        }
        return rights
    }

    /// An attachment that grants something; one whose token or lease has ended grants nothing more.
    func firstAttachment(of client: Slot, to buffer: Slot, where fits: (Attachment) -> Bool) -> Slot? {
        let isShorter = clients[client].attachments.count <= buffers[buffer].attachments.count
        var cursor = isShorter ? clients[client].attachments.first : buffers[buffer].attachments.first
        while let slot = cursor {
            let isMeant = attachments[slot].client == client && attachments[slot].buffer == buffer
            let isGood = attachments[slot].state == .ok && !attachments[slot].isCondemned
            if isMeant, isGood, fits(attachments[slot]) { return slot }
            cursor = isShorter ? clientAttachments.after(slot) : bufferAttachments.after(slot)
        }
        return nil
    }

    /// A buffer of the asker's own uid.
    func findOwned(_ id: BufferID, _ asker: Asker) throws(Refusal) -> Slot {
        let found = try findBuffer(id, needing: [], asker)
        guard clients[asker.client].user == buffers[found.buffer].user else { throw .notTheOwner }
        return found.buffer
    }

    /// A second share for the same audience replaces the first; one without rights takes it back for what comes.
    mutating func share(_ id: BufferID, _ share: Share, _ asker: Asker) throws(Refusal) -> Answer {
        let buffer = try findOwned(id, asker)
        let others = buffers[buffer].shares.filter { $0.audience != share.audience }
        guard others.count < Int(limits.sharesPerBuffer) else {
            throw .tooMany(.shares, limit: limits.sharesPerBuffer)
        }
        changed(.buffer(id))
        buffers[buffer].shares = share.rights.isEmpty ? others : others + [share]
        return .done
    }
}
