// SPDX-License-Identifier: Apache-2.0

// Rule: revoke.
//
// An attachment is OK, REVOKED (may come back) or DEAD (never), as VFIO has them. Who has the right revokes one attachment
// or everyone's; each holder is told and acknowledges when it has unmapped. At the deadline the ladder goes on: those who
// did not answer are revoked all the same and, if asked for, cut off. The result says which step was reached: *enforced*
// (nobody is attached who may use it, and the count is at its baseline where it can tell), *cooperative* (all
// acknowledged, now or before), *unconfirmed* (with who did not: to ask again is no answer).

extension Registry {
    mutating func revoke(_ id: BufferID, _ terms: RevokeTerms, _ asker: Asker) throws(Refusal) -> Answer? {
        let found = try findBuffer(id, needing: .revoke, showing: terms.token, asker)
        guard terms.within <= limits.longestRevoke else { throw .tooLong(limit: limits.longestRevoke) }
        let targets = try findTargets(terms, found.buffer)
        spend(found.token)
        let slot = addRevocation(
            of: found.buffer, terms, .ignoredRevoke, Asker(client: asker.client, number: asker.number))
        publish(found.buffer, renewing: true)
        for attachment in targets { ask(attachment, slot) }
        if revocations[slot].owing == 0 { conclude(slot) }
        return nil
    }

    private func findTargets(_ terms: RevokeTerms, _ buffer: Slot) throws(Refusal) -> [Slot] {
        switch terms.target {
        case .everyone:
            return bufferAttachments.slots(of: buffers[buffer].attachments)
                .filter { attachments[$0].revocation == nil }
        case .attachment(let id):
            guard let slot = attachmentSlots[id], attachments[slot].buffer == buffer else { throw .noSuchAttachment }
            if let other = attachments[slot].revocation { throw .beingRevoked(until: revocations[other].until) }
            return [slot]
        }
    }

    private mutating func addRevocation(
        of buffer: Slot, _ terms: RevokeTerms, _ farewell: CutOffReason, _ asker: Asker?
    ) -> Slot {
        let until = now + terms.within
        let slot = revocations.insert(
            Revocation(
                buffer: buffer, asker: asker.map { clients[$0.client].id }, number: asker?.number ?? RequestNumber(0),
                terms: terms, farewell: farewell, until: until, interval: limits.firstLook))
        bufferRevocations.append(slot, to: &buffers[buffer].revocations)
        revocations[slot].timer = deadlines.add(until, for: .revocation(slot))
        return slot
    }

    /// Who uses the buffer is asked; who has lost it already only learns that it is worse now.
    private mutating func ask(_ attachment: Slot, _ slot: Slot) {
        let isFinal = revocations[slot].terms.isFinal
        guard attachments[attachment].state == .ok else {
            attachments[attachment].isBarred = true
            changed(.attachment(attachments[attachment].id))
            if attachments[attachment].state == .revoked, isFinal { lose(attachment, .dead, isTold: true) }
            return
        }
        attachments[attachment].revocation = slot
        revocations[slot].owing += 1
        let buffer = buffers[attachments[attachment].buffer].id
        let until = revocations[slot].until
        notify(
            attachments[attachment].client,
            .revoke(attachments[attachment].id, buffer, isFinal: isFinal, until: until))
    }

    /// The end of a lease or of a token: DEAD, and cut off if it does not answer.
    mutating func revokeForGood(_ attachment: Slot, _ farewell: CutOffReason) {
        guard attachments[attachment].state != .dead else { return }
        attachments[attachment].isCondemned = true
        changed(.attachment(attachments[attachment].id))
        // A revocation under way ends it, whatever it was meant to be.
        guard attachments[attachment].revocation == nil else { return }
        guard attachments[attachment].state == .ok else { return lose(attachment, .dead, isTold: true) }
        let (id, client, buffer) = (
            attachments[attachment].id, attachments[attachment].client, attachments[attachment].buffer
        )
        let terms = RevokeTerms(.attachment(id), within: grace(of: client), isFinal: true, cutsOff: true)
        publish(buffer, renewing: true)
        ask(attachment, addRevocation(of: buffer, terms, farewell, nil))
    }

    mutating func acknowledgeRevoke(_ id: AttachmentID, _ asker: Asker) throws(Refusal) -> Answer? {
        let slot = try findAttachment(id, asker)
        guard let revocation = attachments[slot].revocation else {
            // Late, and still worth knowing.
            if attachments[slot].isSilent {
                attachments[slot].isSilent = false
                changed(.attachment(id))
                return .done
            }
            throw .notOwed(current: buffers[attachments[slot].buffer].generation)
        }
        reply(asker, .done)
        attachments[slot].revocation = nil
        attachments[slot].isSilent = false
        lose(slot, revocations[revocation].terms.isFinal ? .dead : .revoked, isTold: false)
        answered(revocation)
        return nil
    }

    /// The attachment's use of the buffer ends here.
    private mutating func lose(_ slot: Slot, _ state: AttachmentState, isTold: Bool) {
        let buffer = attachments[slot].buffer
        let state = attachments[slot].isCondemned ? .dead : state
        // A move's cut-off may have told the same already.
        let isNews = attachments[slot].state != state
        attachments[slot].state = state
        attachments[slot].isBarred = true
        changed(.attachment(attachments[slot].id))
        loseAccesses(slot)
        settle(slot)
        clearPinned(slot)
        // What may come back comes back with its lease.
        if state == .dead { deadlines.cancel(&attachments[slot].lease) }
        buffers[buffer].reserved -= attachments[slot].reserved
        attachments[slot].reserved = 0
        if state == .dead { buffers[buffer].live -= 1 }
        if isTold, isNews {
            notify(attachments[slot].client, .revoked(attachments[slot].id, buffers[buffer].id, state))
        }
        if attachments[slot].owesMove {
            attachments[slot].owesMove = false
            moveAnswered(buffer)
        }
        endIfUnused(buffer)
    }

    mutating func restore(_ id: AttachmentID, _ asker: Asker) throws(Refusal) -> Answer {
        guard let slot = attachmentSlots[id] else { throw .noSuchAttachment }
        let buffer = attachments[slot].buffer
        let rights = plainRights(of: asker.client, on: buffer)
        // Forbidden and missing look the same.
        guard rights.contains(.revoke) else { throw .noSuchAttachment }
        guard attachments[slot].state != .dead else { throw .dead }
        guard attachments[slot].isBarred else { throw .notOwed(current: buffers[buffer].generation) }
        attachments[slot].isBarred = false
        changed(.attachment(id))
        notify(attachments[slot].client, .restored(id, buffers[buffer].id))
        return .done
    }
}

// Rule: how far a revocation got.
//
// The count speaks for the buffer as a whole, so it is asked only when nobody may use the buffer any more and no old
// generation is in quarantine; it is looked at until a bounded grace is over.

extension Registry {
    /// One holder less to wait for: it acknowledged, detached or died.
    mutating func answered(_ slot: Slot) {
        revocations[slot].owing -= 1
        if revocations[slot].owing == 0, !revocations[slot].isLooking { conclude(slot) }
    }

    mutating func revocationExpired(_ slot: Slot) {
        revocations[slot].timer = nil
        if revocations[slot].isLooking {
            return now < revocations[slot].until ? lookForRevocation(slot) : finish(revocation: slot, level(slot))
        }
        let asker = revocations[slot].asker.flatMap { clientSlots[$0] }
        for attachment in asked(by: slot) {
            if revocations[slot].unconfirmed.count < Holder.listLimit {
                revocations[slot].unconfirmed.append(holder(attachment, asSeenBy: asker))
            }
            attachments[attachment].revocation = nil
            attachments[attachment].isSilent = true
            lose(attachment, revocations[slot].terms.isFinal ? .dead : .revoked, isTold: true)
            let client = attachments[attachment].client
            if isCutOff(client, wanted: revocations[slot].terms.cutsOff) { doom(client, revocations[slot].farewell) }
        }
        revocations[slot].owing = 0
        conclude(slot)
    }

    private mutating func conclude(_ slot: Slot) {
        let buffer = revocations[slot].buffer
        deadlines.cancel(&revocations[slot].timer)
        guard revocations[slot].asker != nil, buffers[buffer].backing.provesRelease, !isUsed(buffer) else {
            return finish(revocation: slot, level(slot))
        }
        revocations[slot].isLooking = true
        // Counted from the deadline, however late this step comes.
        revocations[slot].until = min(now, revocations[slot].until) + limits.leaseGrace
        lookForRevocation(slot)
    }

    private func isUsed(_ buffer: Slot) -> Bool {
        bufferAttachments.slots(of: buffers[buffer].attachments).contains { attachments[$0].state == .ok }
    }

    /// Those who have not answered.
    private func asked(by slot: Slot) -> [Slot] {
        guard revocations[slot].owing > 0 else { return [] }
        return meant(by: slot).filter { attachments[$0].revocation == slot }
    }

    /// A revocation of one is not charged a walk over all: a token may have thousands.
    private func meant(by slot: Slot) -> [Slot] {
        if case .attachment(let id) = revocations[slot].terms.target { return attachmentSlots[id].map { [$0] } ?? [] }
        return bufferAttachments.slots(of: buffers[revocations[slot].buffer].attachments)
    }

    private mutating func lookForRevocation(_ slot: Slot) {
        let buffer = revocations[slot].buffer
        effects.append(.verifyRelease(buffers[buffer].id, buffers[buffer].generation))
        let next = min(now + revocations[slot].interval, revocations[slot].until)
        revocations[slot].timer = deadlines.add(next, for: .revocation(slot))
        revocations[slot].interval = Interval(nanoseconds: revocations[slot].interval.nanoseconds * 2)
    }

    /// The count of the live generation.
    mutating func countSeenByRevocations(_ buffer: Slot, _ count: Count) {
        let isProof = count == .atBaseline && buffers[buffer].quarantine.count == 0
        for slot in bufferRevocations.slots(of: buffers[buffer].revocations) where revocations[slot].isLooking {
            if isProof { finish(revocation: slot, .revoked(.enforced)) }
            if count == .untold { finish(revocation: slot, level(slot)) }
        }
    }

    /// Who did not answer this time, and who has not answered before and may have the memory still.
    private func level(_ slot: Slot) -> Answer {
        var unconfirmed = revocations[slot].unconfirmed
        let asker = revocations[slot].asker.flatMap { clientSlots[$0] }
        for attachment in meant(by: slot) where unconfirmed.count < Holder.listLimit {
            let isAskedByAnother =
                attachments[attachment].revocation != nil && attachments[attachment].revocation != slot
            guard attachments[attachment].isSilent || isAskedByAnother else { continue }
            let holder = holder(attachment, asSeenBy: asker)
            if !unconfirmed.contains(where: { $0.attachment == holder.attachment }) { unconfirmed.append(holder) }
        }
        return .revoked(unconfirmed.isEmpty ? .cooperative : .unconfirmed(unconfirmed))
    }

    mutating func finish(revocation slot: Slot, _ answer: Answer) {
        let revocation = revocations[slot]
        for attachment in asked(by: slot) { attachments[attachment].revocation = nil }
        deadlines.cancel(&revocations[slot].timer)
        bufferRevocations.remove(slot, from: &buffers[revocation.buffer].revocations)
        revocations.remove(slot)
        guard let asker = revocation.asker.flatMap({ clientSlots[$0] }) else { return }
        reply(Asker(client: asker, number: revocation.number), answer)
    }
}
