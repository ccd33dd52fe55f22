// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Who may what: its uid's, what is shared with it, what the token it shows carries, and what its attachments were granted.
extension Checker {
    mutating func shared(_ id: BufferID, _ share: Share) {
        guard let buffer = world.buffer(id) else { return }
        world.buffers[buffer].shares.removeAll { $0.audience == share.audience }
        world.buffers[buffer].shares.append(share)
    }

    func plainRights(_ peer: Int, _ buffer: Int) -> Rights {
        if isOwners(buffer, peer) { return .all }
        var rights: Rights = []
        for share in world.buffers[buffer].shares where share.audience.includes(world.peers[peer].identity) {
            rights.formUnion(share.rights)
        }
        return rights
    }

    private func isOwners(_ buffer: Int, _ peer: Int) -> Bool {
        world.peers[world.buffers[buffer].owner].identity.uid == world.peers[peer].identity.uid
    }

    /// What can still be lent by an attachment: one that has ended, or whose token has, lends nothing.
    ///
    /// One that was lost in this step did, when something ended before that.
    func lending(_ right: Rights, to peer: Int, on buffer: Int, lostToo: Bool = false) -> SeenAttachment? {
        world.attachments.first {
            $0.peer == peer && $0.buffer == buffer && !$0.isOver && !$0.isCondemned && $0.rights.isSuperset(of: right)
                && ($0.state == .ok || lostToo && $0.lostAt == label)
        }
    }

    /// What was not refused was the asker's to ask.
    mutating func checkRights(_ request: Request, _ peer: Int) throws(Violation) {
        switch request {
        case .beginMove(let id, _, let terms): try checkRight(.move, on: id, showing: terms.token, isSpent: true, peer)
        case .revoke(let id, let terms): try checkRight(.revoke, on: id, showing: terms.token, isSpent: true, peer)
        case .inspect(let id, let token): try checkRight(.inspect, on: id, showing: token, isSpent: false, peer)
        case .lock(let ids, _, _):
            for id in ids { try checkRight(.fence, on: id, showing: nil, isSpent: false, peer) }
        case .withdraw(let id), .name(let id, _), .share(let id, _): try checkOwner(id, peer)
        case .makeToken(_, let id, let terms): if terms.parent == nil { try checkOwner(id, peer) }
        case .withdrawToken(let id): try checkWithdrawal(id, peer)
        case .pin(let id): try checkRight(.pin, of: id)
        case .reserve(let id, _), .addFence(let id, _, _), .renewFence(let id, _, _): try checkRight(.fence, of: id)
        case .restore(let id):
            guard let index = world.attachment(id) else { return }
            let plain = plainRights(peer, world.attachments[index].buffer)
            try expect(plain.contains(.revoke), .rightsHold, "restored by one who may not revoke")
        default: break
        }
        try checkOwnAttachment(request, peer)
    }

    /// What is asked of an attachment is asked by its own client.
    private func checkOwnAttachment(_ request: Request, _ peer: Int) throws(Violation) {
        guard let id = request.attachment, let index = world.attachment(id) else { return }
        try expect(world.attachments[index].peer == peer, .rightsHold, "another's attachment: \(request)")
    }

    private mutating func checkRight(
        _ right: Rights, on id: BufferID, showing token: TokenID?, isSpent: Bool, _ peer: Int
    ) throws(Violation) {
        guard let buffer = world.buffer(id), !plainRights(peer, buffer).contains(right) else { return }
        let shown = usableToken(token, for: id)
        let carries = shown.map { world.tokens[$0].rights.contains(right) } ?? false
        try expect(
            carries || lending(right, to: peer, on: buffer) != nil, .rightsHold,
            "\(right) of buffer \(id.low) was neither its own nor lent")
        guard isSpent, let shown else { return }
        used = world.tokens[shown].id
        spend(shown)
    }

    private func checkRight(_ right: Rights, of id: AttachmentID) throws(Violation) {
        guard let index = world.attachment(id) else { return }
        try expect(
            world.attachments[index].rights.contains(right), .rightsHold,
            "attachment \(id.rawValue) was not granted \(right)")
    }

    private func checkOwner(_ id: BufferID, _ peer: Int) throws(Violation) {
        guard let buffer = world.buffer(id) else { return }
        try expect(isOwners(buffer, peer), .rightsHold, "buffer \(id.low) is another's")
    }

    private func checkWithdrawal(_ id: TokenID, _ peer: Int) throws(Violation) {
        guard let token = world.tokens.last(where: { $0.id == id }), let buffer = world.buffer(token.buffer) else {
            return
        }
        let isMaker = world.peers[token.peer].identity.uid == world.peers[peer].identity.uid
        try expect(isMaker || isOwners(buffer, peer), .rightsHold, "a token was withdrawn by a stranger")
    }

    /// A name leads to a buffer that is there for the asker.
    func found(_ id: BufferID, _ generation: Generation, _ peer: Int) throws(Violation) {
        guard let buffer = world.buffer(id) else { throw Violation(.rightsHold, "a name led to nothing") }
        let seen = world.buffers[buffer]
        try expect(seen.generation == generation, .oneGeneration, "a name led to an old generation")
        try expect(!seen.isWithdrawn && !seen.isEnded, .livesAsKept, "a name led to a buffer that is over")
        try expect(!plainRights(peer, buffer).isEmpty, .rightsHold, "a name led to what is hidden")
    }

    /// Which buffer a name led to: the descriptor that was passed tells.
    func led(by name: String, _ uid: UInt32?, _ peer: Int) throws(Violation) -> BufferID {
        guard let passed = passing?.buffer, let buffer = world.buffer(passed) else {
            throw Violation(.noOldGrant, "attached to '\(name)' without a descriptor")
        }
        let owner = world.peers[world.buffers[buffer].owner].identity.uid
        try expect(
            owner == uid ?? world.peers[peer].identity.uid, .rightsHold, "'\(name)' led to a buffer of uid \(owner)")
        return passed
    }

    func check(_ listings: [Listing], _ peer: Int) throws(Violation) {
        for listing in listings {
            guard let buffer = world.buffer(listing.buffer) else {
                throw Violation(.rightsHold, "a list names a buffer that never was")
            }
            try expect(!plainRights(peer, buffer).isEmpty, .rightsHold, "a list names a forbidden buffer")
            try expect(
                world.buffers[buffer].generation == listing.generation, .oneGeneration, "a list names an old generation"
            )
        }
    }

    /// To who has no right at all on a buffer there is none.
    func checkKnows(_ request: Request, _ peer: Int) throws(Violation) {
        let asked: (BufferID, TokenID?)? =
            switch request {
            case .attach(let id, let terms): (id, terms.token)
            case .beginMove(let id, _, let terms): (id, terms.token)
            case .revoke(let id, let terms): (id, terms.token)
            case .inspect(let id, let token): (id, token)
            default: nil
            }
        guard let (id, token) = asked, let buffer = world.buffer(id) else { return }
        let isKnown =
            !plainRights(peer, buffer).isEmpty || usableToken(token, for: id) != nil
            || lending([], to: peer, on: buffer) != nil
        try expect(isKnown, .rightsHold, "forbidden was told from missing: \(request)")
    }

    /// What the new attachment is granted, and the token that this took.
    mutating func grant(_ id: BufferID, _ terms: AttachTerms, _ peer: Int) throws(Violation) -> (Rights, TokenID?) {
        guard let buffer = world.buffer(id) else { return ([], nil) }
        var needed = Rights.needed(for: terms.access)
        if terms.mobility == .pinned { needed.insert(.pin) }
        let plain = plainRights(peer, buffer)
        if plain.isSuperset(of: needed) { return (plain, nil) }
        let shown = usableToken(terms.token, for: id)
        let rights = plain.union(shown.map { world.tokens[$0].rights } ?? [])
        try expect(rights.isSuperset(of: needed), .rightsHold, "attached without \(needed.subtracting(rights))")
        if let shown { spend(shown) }
        return (rights, shown == nil ? nil : terms.token)
    }
}

extension Share.Audience {
    func includes(_ identity: Identity) -> Bool {
        switch self {
        case .user(let uid): identity.uid == uid
        case .group(let gid): identity.gids.contains(gid)
        case .everyone: true
        }
    }
}

extension Request {
    /// The attachment that only its own client may ask about.
    var attachment: AttachmentID? {
        switch self {
        case .map(let id), .detach(let id), .pin(let id), .unpin(let id), .renew(let id, _), .beginAccess(let id, _, _),
            .endAccess(let id), .acknowledge(let id, _, _), .refuseMove(let id, _), .acknowledgeRevoke(let id),
            .reserve(let id, _), .addFence(let id, _, _), .renewFence(let id, _, _), .snapshot(let id, _),
            .wait(let id, _, _):
            id
        default: nil
        }
    }
}
