// SPDX-License-Identifier: Apache-2.0

// Rule: who is who.
//
// A client is what the kernel certified when it connected. The overflow uid of a user namespace is refused, because it
// stands for everyone the namespace does not know. Numbers of clients, attachments, fences and locks are never given
// twice, so a late message can only meet the one it was meant for, or nobody.
//
// A buffer is its BufferID and its present generation. A request that names another generation is refused as stale, with
// the present one; so nobody is ever granted memory that a move has left behind.

extension Registry {
    mutating func admit(_ identity: Identity) throws(Refusal) -> ClientID {
        guard identity.uid != Identity.overflowUID else { throw .overflowUID }
        guard clients.count < Int(limits.clients) else { throw .tooMany(.clients, limit: limits.clients) }
        let user = findUser(identity.uid)
        users[user].clients += 1
        let id = ClientID(freshNumber())
        clientSlots[id] = clients.insert(Client(id: id, identity: identity, user: user))
        changed(.client(id))
        return id
    }

    func checkCurrent(_ generation: Generation, of buffer: Slot) throws(Refusal) {
        guard generation == buffers[buffer].generation else { throw .stale(current: buffers[buffer].generation) }
    }

    /// An attachment of the asker's; another client's looks like none.
    func findAttachment(_ id: AttachmentID, _ asker: Asker) throws(Refusal) -> Slot {
        guard let slot = attachmentSlots[id], attachments[slot].client == asker.client else {
            throw .noSuchAttachment
        }
        return slot
    }

    /// An attachment of the asker's that is OK.
    func findUsable(_ id: AttachmentID, _ asker: Asker) throws(Refusal) -> Slot {
        let slot = try findAttachment(id, asker)
        switch attachments[slot].state {
        case .ok: return slot
        case .revoked: throw .revoked
        case .dead: throw .dead
        }
    }

    /// A holder as `client` may know it: of another uid only the attachment's number, unless it may inspect.
    func holder(_ attachment: Slot, asSeenBy client: Slot?) -> Holder {
        let owner = attachments[attachment].client
        let id = attachments[attachment].id
        guard let client else { return Holder(id, nil) }
        let isKnown =
            clients[owner].user == clients[client].user
            || plainRights(of: client, on: attachments[attachment].buffer).contains(.inspect)
        return Holder(id, isKnown ? clients[owner].id : nil)
    }

    /// The attachments of a buffer for which `isMeant` holds, as `client` may know them.
    func holders(of buffer: Slot, asSeenBy client: Slot?, where isMeant: (Attachment) -> Bool) -> [Holder] {
        bufferAttachments.slots(of: buffers[buffer].attachments)
            .filter { isMeant(attachments[$0]) }
            .prefix(Holder.listLimit).map { holder($0, asSeenBy: client) }
    }
}
