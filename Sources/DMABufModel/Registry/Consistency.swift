// SPDX-License-Identifier: Apache-2.0

// Rule: consistency.
//
// After every step the tables agree with each other: what is found by number, by list and by slab is the same; one
// generation per buffer is live; nothing is held by the dead; every ledger equals a recount from scratch; whoever waits
// has an end to wait for. `problems()` walks everything and says what does not hold.

extension Registry {
    /// What is inconsistent: nothing, ever. Walks everything; for tests and the simulator.
    public func problems() -> [String] {
        var found = Problems()
        checkIndices(&found)
        checkClients(&found)
        for buffer in buffers.slots { checkBuffer(buffer, &found) }
        for slot in attachments.slots { checkAttachment(slot, &found) }
        checkFences(&found)
        checkTickets(&found)
        checkTokens(&found)
        checkLedgers(&found)
        checkDeadlines(&found)
        return found.list
    }

    private func checkIndices(_ found: inout Problems) {
        found.expect(effects.isEmpty && doomed.isEmpty && unused.isEmpty, "a step has left something over")
        found.expect(
            clientSlots.count == clients.count && clientSlots.allSatisfy { clients[$1].id == $0 }, "clients by number")
        found.expect(
            bufferSlots.count == buffers.count && bufferSlots.allSatisfy { buffers[$1].id == $0 }, "buffers by number")
        found.expect(
            attachmentSlots.count == attachments.count && attachmentSlots.allSatisfy { attachments[$1].id == $0 },
            "attachments by number")
        found.expect(
            fenceSlots.count == fences.count && fenceSlots.allSatisfy { fences[$1].id == $0 }, "fences by number")
        found.expect(
            tokenSlots.count == tokens.count && tokenSlots.allSatisfy { tokens[$1].id == $0 }, "tokens by number")
        found.expect(userSlots.count == users.count && userSlots.allSatisfy { users[$1].uid == $0 }, "users by uid")
        let named = buffers.slots.reduce(0) { $0 + buffers[$1].names.count }
        found.expect(names.count == named, "names and buffers disagree")
        for (key, buffer) in names {
            found.expect(buffers[buffer].names.contains(key.name), "name \(key.name) leads astray")
            found.expect(!buffers[buffer].isEnding, "name \(key.name) leads to a buffer that has ended")
        }
    }

    private func checkClients(_ found: inout Problems) {
        var waiting = 0
        for slot in clients.slots {
            let client = clients[slot]
            found.expect(!client.isDead && !client.isDoomed, "client \(client.id.rawValue) is dead and still known")
            found.expect(client.unread <= limits.noticesPerClient, "client \(client.id.rawValue) reads too slowly")
            found.chain(client.attachments, clientAttachments) { attachments[$0].client == slot }
            found.chain(client.fences, clientFences) { fences[$0].client == slot }
            found.chain(client.waits, clientWaits) { waits[$0].client == slot }
            found.chain(client.owned, ownedLinks) { buffers[$0].owner == slot }
            found.chain(client.moves, moveLinks) { buffers[$0].move?.mover == slot }
            if let ticket = client.ticket {
                found.expect(tickets[ticket].client == slot, "client \(client.id.rawValue) has another's ticket")
            }
            waiting += client.waits.count
        }
        found.expect(waiting == waits.count, "a wait belongs to nobody")
        for slot in users.slots {
            let count = clients.slots.count { clients[$0].user == slot }
            found.expect(count == users[slot].clients, "uid \(users[slot].uid) has miscounted its clients")
            found.expect(count > 0 || !users[slot].ledger.isZero, "uid \(users[slot].uid) is gone and still known")
        }
    }

    private func checkAttachment(_ slot: Slot, _ found: inout Problems) {
        let attachment = attachments[slot]
        let name = "attachment \(attachment.id.rawValue)"
        let buffer = buffers[attachment.buffer]
        found.expect(!buffer.isEnding, "\(name) is to a buffer that has ended")
        found.expect(clientSlots[clients[attachment.client].id] == attachment.client, "\(name) is held by the dead")
        found.expect(attachment.generation <= buffer.generation, "\(name) is of a generation that was never live")
        found.expect(attachment.state == .ok || attachment.accesses == 0, "\(name) is revoked and inside an access")
        found.expect(attachment.state == .ok || !attachment.owesMove, "\(name) is revoked and waited for")
        found.expect(attachment.state != .ok || !attachment.isSilent, "\(name) may be used and has not let go")
        found.expect(attachment.state == .ok || !attachment.isPinned, "\(name) is revoked and pins")
        found.expect(
            attachment.state == .ok || !attachment.isBarred || attachment.revocation == nil, "\(name) is revoked twice")
        found.expect(!attachment.owesMove || buffer.move != nil, "\(name) owes for no move")
        found.expect(
            attachment.accesses == 0 || attachment.generation == buffer.generation, "\(name) uses an old generation")
        found.expect(
            !attachment.isCondemned || attachment.state == .dead || attachment.revocation != nil,
            "\(name) has reached its end and goes on")
        if let revocation = attachment.revocation {
            found.expect(revocations[revocation].buffer == attachment.buffer, "\(name) is in another's revocation")
        }
        if attachment.isSuspect {
            let quarantine = findQuarantined(attachment.buffer, attachment.generation)
            found.expect(quarantine != nil, "\(name) is charged for memory that is free")
        }
    }
}

/// What a walk has found.
struct Problems {
    private(set) var list: [String] = []

    mutating func expect(_ holds: Bool, _ problem: @autoclosure () -> String) {
        if !holds { list.append(problem()) }
    }

    /// The chain has as many links as it says, and all of its own.
    mutating func chain(_ chain: Chain, _ links: Links, isOwn: (Slot) -> Bool) {
        let slots = links.slots(of: chain)
        expect(slots.count == chain.count && slots.last == chain.last, "a list has lost count")
        expect(slots.allSatisfy(isOwn), "a list holds what is not its own")
    }
}
