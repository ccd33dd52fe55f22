// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Tokens as they were asked for: what each comes from, how often it may be used, and when it ends.
extension Checker {
    mutating func made(_ id: TokenID, _ buffer: BufferID, _ terms: TokenTerms, _ peer: Int) throws(Violation) {
        // A number is given again once the token that had it is gone; with its buffer it went unseen.
        _ = withdrawn(id)
        var token = SeenToken(
            label: nextLabel(), id: id, buffer: buffer, peer: peer, rights: terms.rights, parent: terms.parent,
            uses: terms.uses, end: terms.lasts.map { world.now + $0 })
        if let parent = terms.parent {
            guard let from = world.tokens.last(where: { $0.id == parent }) else {
                throw Violation(.rightsHold, "delegated from a token that has ended")
            }
            try expect(from.rights.isSuperset(of: terms.rights), .rightsHold, "a token is wider than its parent")
            try expect(from.rights.contains(.delegate), .rightsHold, "delegated without the right to")
            token.end = [token.end, from.end].compactMap { $0 }.min()
        }
        world.tokens.append(token)
    }

    /// The token and all that were delegated from it, and how many those are; what was attached with them goes too.
    mutating func withdrawn(_ id: TokenID) -> (tokens: Int, attachments: Int) {
        var count = world.tokens.count { $0.id == id }
        world.tokens.removeAll { $0.id == id }
        var revoked = 0
        for index in world.attachments.indices where world.attachments[index].token == id {
            world.attachments[index].token = nil
            world.attachments[index].lease = nil
            world.attachments[index].isCondemned = true
            let seen = world.attachments[index]
            if !seen.isOver, seen.state != .dead { revoked += 1 }
        }
        while let orphan = world.tokens.first(where: { $0.parent == id }) {
            let below = withdrawn(orphan.id)
            count += below.tokens
            revoked += below.attachments
        }
        return (count, revoked)
    }

    mutating func expireTokens() {
        while let token = world.tokens.first(where: { $0.end.map { $0 <= world.now } ?? false }) {
            _ = withdrawn(token.id)
        }
    }

    /// The token, if it and all that it comes from have a use left.
    func usableToken(_ id: TokenID?, for buffer: BufferID) -> Int? {
        guard let token = world.tokens.lastIndex(where: { $0.id == id && $0.buffer == buffer }) else { return nil }
        var cursor: Int? = token
        while let index = cursor {
            if world.tokens[index].uses == 0 { return nil }
            cursor = parent(of: index)
        }
        return token
    }

    /// A use of a token is one of its ancestors' too.
    mutating func spend(_ token: Int) {
        var cursor: Int? = token
        while let index = cursor {
            if let uses = world.tokens[index].uses { world.tokens[index].uses = uses - 1 }
            cursor = parent(of: index)
        }
    }

    private func parent(of token: Int) -> Int? {
        world.tokens[token].parent.flatMap { id in world.tokens.lastIndex { $0.id == id } }
    }

    /// Whose right the mover has; nil if it is its own.
    func lender(_ used: TokenID?, to peer: Int, on buffer: Int, lostToo: Bool = false) -> TokenID? {
        if plainRights(peer, buffer).contains(.move) { return nil }
        let token = world.tokens.last { $0.id == used && $0.buffer == world.buffers[buffer].id }
        if let token, token.rights.contains(.move) { return token.id }
        return lending(.move, to: peer, on: buffer, lostToo: lostToo)?.token
    }

    /// A move goes with the token that it was begun with, and with no other.
    mutating func checkLenders() throws(Violation) {
        for lender in lostLenders {
            let isThere = world.tokens.contains { $0.id == lender }
            try expect(!isThere, .rightsHold, "a move was aborted for a token that has not ended")
        }
        for index in world.buffers.indices {
            guard let lender = world.buffers[index].lender else { continue }
            let isThere = world.tokens.contains { $0.id == lender }
            guard let mover = world.buffers[index].mover, !isThere else { continue }
            let lent = lending(.move, to: mover, on: index, lostToo: true)
            let mayMove = plainRights(mover, index).contains(.move) || lent != nil
            try expect(mayMove, .rightsHold, "a move has outlived the token that it was begun with")
            world.buffers[index].lender = self.lender(nil, to: mover, on: index, lostToo: true)
        }
    }
}
