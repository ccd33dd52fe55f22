// SPDX-License-Identifier: Apache-2.0

// Rule: tokens.
//
// A token carries a subset of its maker's rights on one buffer. Delegating needs the right to delegate, and what is
// delegated is never wider, never lasts longer and never has more uses than what it comes from: using a token uses up its
// ancestors too. Withdrawing one, or its expiry, withdraws all that were delegated from it and revokes, for good, the
// attachments made with them. Its maker's uid and the buffer's owner may withdraw it; for others there is no such token.

extension Registry {
    mutating func makeToken(_ id: TokenID, _ buffer: BufferID, _ terms: TokenTerms, _ asker: Asker) throws(Refusal)
        -> Answer
    {
        let (buffer, parent) = try findMaker(buffer, terms, asker)
        guard tokenSlots[id] == nil else { throw .numberTaken }
        guard terms.uses != 0, !terms.rights.isEmpty else { throw .malformed }
        guard buffers[buffer].tokens.count < Int(limits.tokensPerBuffer) else {
            throw .tooMany(.tokens, limit: limits.tokensPerBuffer)
        }
        let ends = [terms.lasts.map { now + $0 }, parent.flatMap { tokens[$0].end }].compactMap { $0 }
        let slot = tokens.insert(
            Token(
                id: id, buffer: buffer, maker: clients[asker.client].identity.uid, rights: terms.rights,
                uses: terms.uses, end: ends.min(), parent: parent, depth: parent.map { tokens[$0].depth + 1 } ?? 0))
        tokenSlots[id] = slot
        bufferTokens.append(slot, to: &buffers[buffer].tokens)
        if let parent { parentTokens.append(slot, to: &tokens[parent].children) }
        if let end = ends.min() { tokens[slot].timer = deadlines.add(end, for: .token(slot)) }
        changed(.token(id))
        return .done
    }

    /// The buffer and the token delegated from, if the asker may make such a token.
    private func findMaker(_ id: BufferID, _ terms: TokenTerms, _ asker: Asker) throws(Refusal) -> (Slot, Slot?) {
        guard let parent = terms.parent else { return (try findOwned(id, asker), nil) }
        guard let buffer = bufferSlots[id], let slot = usableToken(parent, for: buffer) else { throw .noSuchToken }
        guard tokens[slot].rights.contains(.delegate) else { throw .forbidden(missing: .delegate) }
        let excess = terms.rights.subtracting(tokens[slot].rights)
        guard excess.isEmpty else { throw .tokenTooWide(excess) }
        guard tokens[slot].depth < limits.delegationDepth else {
            throw .tooMany(.delegations, limit: limits.delegationDepth)
        }
        return (buffer, slot)
    }

    /// The token, if it and all its ancestors have a use left.
    ///
    /// One whose time is over is not usable, even if its end comes later in this step than what asks for it.
    func usableToken(_ id: TokenID, for buffer: Slot) -> Slot? {
        guard let token = tokenSlots[id], tokens[token].buffer == buffer else { return nil }
        if !isHearing, let end = tokens[token].end, end <= now { return nil }
        var cursor: Slot? = token
        while let slot = cursor {
            if tokens[slot].uses == 0 { return nil }
            cursor = tokens[slot].parent
        }
        return token
    }

    /// A granted request uses the token once, and so its ancestors.
    mutating func spend(_ token: Slot?) {
        // Few have one.
        guard let token else { return }
        var cursor: Slot? = token
        while let slot = cursor {
            if let uses = tokens[slot].uses {
                tokens[slot].uses = uses - 1
                changed(.token(tokens[slot].id))
            }
            cursor = tokens[slot].parent
        }
    }

    mutating func withdrawToken(_ id: TokenID, _ asker: Asker) throws(Refusal) -> Answer {
        guard let slot = tokenSlots[id] else { throw .noSuchToken }
        let isMaker = tokens[slot].maker == clients[asker.client].identity.uid
        guard isMaker || buffers[tokens[slot].buffer].user == clients[asker.client].user else { throw .noSuchToken }
        let buffer = tokens[slot].buffer
        let (count, revoked) = withdraw(token: slot)
        endMoveWithItsToken(buffer)
        return .tokenWithdrawn(tokens: count, attachments: revoked)
    }

    mutating func tokenExpired(_ slot: Slot) {
        tokens[slot].timer = nil
        let buffer = tokens[slot].buffer
        _ = withdraw(token: slot)
        endMoveWithItsToken(buffer)
    }

    /// The youngest go first; the depth is bounded.
    mutating func withdraw(token slot: Slot) -> (tokens: Int, attachments: Int) {
        var (count, revoked) = (1, 0)
        while let child = tokens[slot].children.first {
            let below = withdraw(token: child)
            count += below.tokens
            revoked += below.attachments
        }
        while let attachment = tokens[slot].attachments.first {
            tokenAttachments.remove(attachment, from: &tokens[slot].attachments)
            attachments[attachment].token = nil
            changed(.attachment(attachments[attachment].id))
            if attachments[attachment].state != .dead { revoked += 1 }
            revokeForGood(attachment, .ignoredRevoke)
        }
        forget(token: slot)
        return (count, revoked)
    }

    private mutating func forget(token slot: Slot) {
        deadlines.cancel(&tokens[slot].timer)
        bufferTokens.remove(slot, from: &buffers[tokens[slot].buffer].tokens)
        if let parent = tokens[slot].parent { parentTokens.remove(slot, from: &tokens[parent].children) }
        tokenSlots[tokens[slot].id] = nil
        changed(.token(tokens[slot].id))
        tokens.remove(slot)
    }
}

// Rule: a move ends with its token.
//
// A move that was begun with the right of a token, shown or through an attachment made with it, is aborted when the token
// is withdrawn or expires, unless the mover has the right without it. A share that is taken back aborts none: it is taken
// back for what comes.

extension Registry {
    /// Whose right a client moves the buffer with: that of the token it has shown, or of one it has attached with; nil if
    /// the right is its own.
    func lender(_ shown: Slot?, to client: Slot, on buffer: Slot) -> TokenID? {
        if plainRights(of: client, on: buffer).contains(.move) { return nil }
        if let shown, tokens[shown].rights.contains(.move) { return tokens[shown].id }
        let attachment = firstAttachment(of: client, to: buffer) { $0.rights.contains(.move) }
        return attachment.flatMap { attachments[$0].token }.map { tokens[$0].id }
    }

    /// After all that was delegated from the token is gone too: those who waited for the move may have waited with it.
    private mutating func endMoveWithItsToken(_ buffer: Slot) {
        guard let move = buffers[buffer].move, let lender = move.lender, tokenSlots[lender] == nil else { return }
        let attachment = firstAttachment(of: move.mover, to: buffer) { $0.rights.contains(.move) }
        guard attachment != nil || plainRights(of: move.mover, on: buffer).contains(.move) else {
            return endMove(of: buffer, .aborted(.tokenEnded))
        }
        let other = self.lender(nil, to: move.mover, on: buffer)
        buffers[buffer].move?.lender = other
    }
}
