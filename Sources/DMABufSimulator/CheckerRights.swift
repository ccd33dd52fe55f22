// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Who may what: its uid's, what is shared with it, and what the token it shows carries.
extension Checker {
    mutating func shared(_ id: BufferID, _ share: Share) {
        guard let buffer = world.buffer(id) else { return }
        world.buffers[buffer].shares.removeAll { $0.audience == share.audience }
        world.buffers[buffer].shares.append(share)
    }

    /// And all that were delegated from it.
    mutating func withdrawn(_ id: TokenID) {
        world.tokens.removeAll { $0.id == id }
        while let orphan = world.tokens.first(where: { $0.parent == id }) { withdrawn(orphan.id) }
    }

    private func plainRights(_ peer: Int, _ buffer: Int) -> Rights {
        let identity = world.peers[peer].identity
        if world.peers[world.buffers[buffer].owner].identity.uid == identity.uid { return .all }
        var rights: Rights = []
        for share in world.buffers[buffer].shares where share.audience.includes(identity) {
            rights.formUnion(share.rights)
        }
        return rights
    }

    mutating func checkRights(_ id: BufferID, _ terms: AttachTerms, _ peer: Int) throws(Violation) {
        guard let buffer = world.buffer(id) else { return }
        var needed = Rights.needed(for: terms.access)
        if terms.mobility == .pinned { needed.insert(.pin) }
        let plain = plainRights(peer, buffer)
        if plain.isSuperset(of: needed) { return }
        let token = world.tokens.lastIndex { $0.id == terms.token && $0.buffer == id }
        let carried = token.map { world.tokens[$0].rights } ?? []
        try expect(
            plain.union(carried).isSuperset(of: needed), .rightsHold,
            "attached without \(needed.subtracting(plain.union(carried)))")
        if let token { try spend(token) }
    }

    /// The descriptor that was passed tells which buffer the name led to.
    mutating func attachedNamed(
        _ name: String, _ uid: UInt32?, _ terms: AttachTerms, _ attachment: AttachmentID, _ generation: Generation,
        _ peer: Int
    ) throws(Violation) {
        guard let passed = passing?.buffer, let buffer = world.buffer(passed) else {
            throw Violation(.noOldGrant, "attached to '\(name)' without a descriptor")
        }
        let owner = world.peers[world.buffers[buffer].owner].identity.uid
        try expect(
            owner == uid ?? world.peers[peer].identity.uid, .rightsHold, "'\(name)' led to a buffer of uid \(owner)")
        try checkRights(passed, terms, peer)
        try attached(attachment, to: passed, generation, peer)
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

    /// A use of a token is one of its ancestors' too.
    private mutating func spend(_ token: Int) throws(Violation) {
        var cursor: Int? = token
        while let index = cursor {
            if let uses = world.tokens[index].uses {
                try expect(uses > 0, .rightsHold, "a token was used once too often")
                world.tokens[index].uses = uses - 1
            }
            let parent = world.tokens[index].parent
            cursor = parent.flatMap { id in world.tokens.lastIndex { $0.id == id } }
        }
    }

    func checkToken(_ id: TokenID, _ terms: TokenTerms) throws(Violation) {
        guard let parent = terms.parent, let index = world.tokens.lastIndex(where: { $0.id == parent }) else { return }
        let from = world.tokens[index]
        try expect(from.rights.isSuperset(of: terms.rights), .rightsHold, "a token is wider than its parent")
        try expect(from.rights.contains(.delegate), .rightsHold, "delegated without the right to")
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
