// SPDX-License-Identifier: Apache-2.0

extension Registry {
    func checkBuffer(_ slot: Slot, _ found: inout Problems) {
        let buffer = buffers[slot]
        let name = "buffer \(buffer.id.low)"
        found.chain(buffer.attachments, bufferAttachments) { attachments[$0].buffer == slot }
        found.chain(buffer.fences, bufferFences) { fences[$0].buffer == slot }
        found.chain(buffer.waits, bufferWaits) { waits[$0].buffer == slot }
        found.chain(buffer.claims, bufferClaims) { claims[$0].buffer == slot }
        found.chain(buffer.quarantine, bufferQuarantine) { quarantined[$0].buffer == slot }
        found.chain(buffer.revocations, bufferRevocations) { revocations[$0].buffer == slot }
        found.chain(buffer.tokens, bufferTokens) { tokens[$0].buffer == slot }
        let attached = bufferAttachments.slots(of: buffer.attachments)
        found.expect(
            attached.count { attachments[$0].state != .dead } == buffer.live, "\(name) has miscounted the live")
        found.expect(attached.count { attachments[$0].isPinned } == buffer.pinned, "\(name) has miscounted its pins")
        found.expect(
            attached.count { attachments[$0].isUnsettled } == buffer.unsettled, "\(name) has miscounted the unsettled")
        found.expect(
            attached.reduce(0) { $0 + attachments[$1].reserved } == buffer.reserved, "\(name) has miscounted its slots")
        checkKept(slot, name, &found)
        checkGenerations(slot, name, &found)
        checkMove(slot, name, &found)
        for wait in bufferWaits.slots(of: buffer.waits) {
            var isBounded = waits[wait].timer != nil
            if case .fences(_, _, let remaining, _) = waits[wait].reason {
                let pending = bufferFences.slots(of: buffer.fences).count { covers(waits[wait], fences[$0]) }
                found.expect(remaining == pending && pending > 0, "\(name): a wait has lost count")
            } else {
                isBounded = buffer.move != nil
            }
            found.expect(isBounded, "\(name): someone waits without an end")
        }
        for revocation in bufferRevocations.slots(of: buffer.revocations) {
            let owing = attached.count { attachments[$0].revocation == revocation }
            found.expect(owing == revocations[revocation].owing, "\(name): a revocation has lost count")
            found.expect(owing > 0 || revocations[revocation].isLooking, "\(name): a revocation waits for nobody")
            found.expect(revocations[revocation].timer != nil, "\(name): a revocation has no end")
        }
    }

    private func checkKept(_ slot: Slot, _ name: String, _ found: inout Problems) {
        let buffer = buffers[slot]
        if let owner = buffer.owner {
            found.expect(clientSlots[clients[owner].id] == owner, "\(name) is owned by the dead")
            found.expect(!buffer.isEnding, "\(name) has ended and has an owner")
        }
        if buffer.isEnding {
            let isEmpty =
                buffer.attachments.count + buffer.waits.count + buffer.claims.count + buffer.tokens.count == 0
            found.expect(isEmpty && buffer.move == nil && buffer.names.isEmpty, "\(name) has ended and is in use")
            found.expect(buffer.quarantine.count > 0, "\(name) has ended and nobody looks at it")
        } else {
            let isKept =
                buffer.owner != nil || buffer.kept == .registry || (buffer.kept == .lastAttachment && buffer.live > 0)
            found.expect(isKept, "\(name) is kept by nobody")
        }
    }

    private func checkGenerations(_ slot: Slot, _ name: String, _ found: inout Problems) {
        let buffer = buffers[slot]
        let old = bufferQuarantine.slots(of: buffer.quarantine)
        let isLiveQuarantined = old.contains { quarantined[$0].generation == buffer.generation }
        found.expect(
            isLiveQuarantined == (buffer.isEnding ? !buffer.isReleased : buffer.isSuspect),
            "\(name) has not one live generation")
        found.expect(Set(old.map { quarantined[$0].generation }).count == old.count, "\(name) has a generation twice")
        found.expect(
            old.allSatisfy { quarantined[$0].generation <= buffer.generation }, "\(name) has a generation too new")
        let inodes = old.filter { quarantined[$0].generation != buffer.generation }.map {
            quarantined[$0].backing.inode
        }
        found.expect(!inodes.contains(buffer.backing.inode), "\(name): live memory is in quarantine")
        found.expect(old.count <= 3, "\(name) has too much in quarantine")
        for quarantine in old {
            let suspects = bufferAttachments.slots(of: buffer.attachments).count {
                attachments[$0].isSuspect && attachments[$0].generation == quarantined[quarantine].generation
            }
            found.expect(suspects == quarantined[quarantine].suspects, "\(name): suspects miscounted")
            found.expect(suspects > 0 || quarantined[quarantine].isOwners, "\(name): nobody carries the quarantine")
            found.expect(quarantined[quarantine].timer != nil, "\(name): nobody looks at the quarantine")
        }
    }

    private func checkMove(_ slot: Slot, _ name: String, _ found: inout Problems) {
        let attached = bufferAttachments.slots(of: buffers[slot].attachments)
        let owing = attached.count { attachments[$0].owesMove }
        guard let move = buffers[slot].move else {
            return found.expect(
                attached.allSatisfy { !attachments[$0].wasToldOfMove }, "\(name): a move's end was not told")
        }
        found.expect(clientSlots[clients[move.mover].id] == move.mover, "\(name) is moved by the dead")
        found.expect(owing == move.owing, "\(name): a move has lost count")
        found.expect(buffers[slot].pinned == 0, "\(name) is pinned and moves")
        found.expect(move.lender.map { tokenSlots[$0] != nil } ?? true, "\(name): a move has outlived its token")
        switch move.phase {
        case .invalidating: found.expect(owing > 0 && move.timer != nil, "\(name): a move waits for nobody")
        case .fencing: found.expect(owing == 0 && buffers[slot].fences.count > 0, "\(name): a move waits for no fence")
        case .copying:
            found.expect(owing == 0 && move.timer != nil && buffers[slot].fences.count == 0, "\(name) is copied in use")
        }
    }

    func checkFences(_ found: inout Problems) {
        for slot in fences.slots {
            let fence = fences[slot]
            let name = "fence \(fence.id.rawValue)"
            found.expect(fence.timer != nil, "\(name) has no end")
            if let client = fence.client {
                found.expect(clientSlots[clients[client].id] == client, "\(name) is promised by the dead")
                let twins = bufferFences.slots(of: buffers[fence.buffer].fences).count {
                    fences[$0].client == client && fences[$0].timeline == fence.timeline && !fences[$0].isSuperseded
                }
                // The newer one of a superseded fence may have ended before it.
                found.expect(
                    twins == 1 || twins == 0 && fence.isSuperseded,
                    "\(name) shares its context with \(twins - 1) others")
            } else {
                found.expect(fence.kind != .eventFD, "\(name) is a dead owner's eventfd")
            }
        }
        let listed = buffers.slots.reduce(0) { $0 + buffers[$1].fences.count }
        found.expect(listed == fences.count, "a fence belongs to no buffer")
    }

    func checkTickets(_ found: inout Problems) {
        var count = 0
        for slot in tickets.slots {
            let ticket = tickets[slot]
            let name = "lock \(ticket.number.rawValue)"
            found.expect(clients[ticket.client].ticket == slot, "\(name) is held by the dead")
            found.expect(ticket.timer != nil && ticket.claims.count > 0, "\(name) has no end")
            found.chain(ticket.claims, ticketClaims) { claims[$0].ticket == slot }
            let own = ticketClaims.slots(of: ticket.claims)
            let isFirst = own.allSatisfy { buffers[claims[$0].buffer].claims.first == $0 }
            let isFree = own.allSatisfy { buffers[claims[$0].buffer].move == nil }
            found.expect(!ticket.isGranted || isFirst, "\(name) is granted beside another")
            found.expect(ticket.isGranted || !isFirst || !isFree, "\(name) is first everywhere and not granted")
            count += own.count
        }
        found.expect(count == claims.count, "a claim belongs to no ticket")
    }

    func checkTokens(_ found: inout Problems) {
        for slot in tokens.slots {
            let token = tokens[slot]
            found.chain(token.children, parentTokens) { tokens[$0].parent == slot }
            found.chain(token.attachments, tokenAttachments) { attachments[$0].token == slot }
            found.expect((token.end == nil) == (token.timer == nil), "a token's end is not watched")
            guard let parent = token.parent else { continue }
            found.expect(token.rights.isSubset(of: tokens[parent].rights), "a token is wider than what it comes from")
            found.expect(token.buffer == tokens[parent].buffer, "a token is for another buffer than its parent")
        }
    }

    func checkLedgers(_ found: inout Problems) {
        var counts: [Slot: Ledger] = [:]
        for slot in buffers.slots {
            let buffer = buffers[slot]
            counts[buffer.user, default: Ledger()].buffers += 1
            counts[buffer.user, default: Ledger()].bytes += buffer.backing.byteCount
            let isQuarantined = findQuarantined(slot, buffer.generation) != nil
            if !isQuarantined, !buffer.isReleased {
                counts[buffer.user, default: Ledger()].descriptors += UInt64(buffer.backing.descriptorCount)
            }
        }
        for slot in quarantined.slots {
            let old = quarantined[slot]
            let owner = buffers[old.buffer].user
            counts[owner, default: Ledger()].descriptors += UInt64(old.backing.descriptorCount)
            if old.isOwners { counts[owner, default: Ledger()].quarantinedBytes += old.backing.byteCount }
        }
        for slot in attachments.slots {
            let attachment = attachments[slot]
            let user = clients[attachment.client].user
            let bytes = buffers[attachment.buffer].backing.byteCount
            counts[user, default: Ledger()].attachments += 1
            if attachment.isPinned { counts[user, default: Ledger()].pinnedBytes += bytes }
            if attachment.isSuspect { counts[user, default: Ledger()].quarantinedBytes += bytes }
        }
        for slot in clients.slots {
            counts[clients[slot].user, default: Ledger()].notices += UInt64(clients[slot].unread)
        }
        var sum = Ledger()
        for slot in users.slots {
            let counted = counts[slot] ?? Ledger()
            found.expect(users[slot].ledger == counted, "the ledger of uid \(users[slot].uid) is wrong")
            for resource in Resource.allCases { sum[resource] += counted[resource] }
        }
        found.expect(sum == used, "the sum of the ledgers is wrong")
    }

    func checkDeadlines(_ found: inout Problems) {
        found.expect(deadlines.isInOrder, "deadlines are out of order")
        var owned = attachments.slots.compactMap { attachments[$0].lease }
        owned += clients.slots.compactMap { clients[$0].absence }
        if let settling { owned.append(settling) }
        owned += buffers.slots.compactMap { buffers[$0].move?.timer }
        owned += revocations.slots.compactMap { revocations[$0].timer }
        owned += fences.slots.compactMap { fences[$0].timer }
        owned += waits.slots.compactMap { waits[$0].timer }
        owned += tickets.slots.compactMap { tickets[$0].timer }
        owned += tokens.slots.compactMap { tokens[$0].timer }
        owned += quarantined.slots.compactMap { quarantined[$0].timer }
        found.expect(owned.count == deadlines.count, "a deadline belongs to nobody")
        found.expect(Set(owned).count == owned.count, "a deadline belongs to two")
    }
}
