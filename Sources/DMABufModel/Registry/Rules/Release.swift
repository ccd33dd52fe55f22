// SPDX-License-Identifier: Apache-2.0

// Rule: release is verified.
//
// A generation that is no longer live is quarantined until the count of its dma-buf is back at its baseline: looked at on
// each detach, death and acknowledgement, then on a timer that slows from 1 ms to about 1 s. A raised count alone is no lie, so
// it is looked at again. Where memory has no such oracle it is released when nobody is attached to that generation any
// more, and goes back to the kernel, never into a pool. Until then each attachment left behind is charged what it keeps
// from being freed, or the owner if there is none.

extension Registry {
    mutating func quarantineLive(_ buffer: Slot) {
        let generation = buffers[buffer].generation
        if let slot = findQuarantined(buffer, generation) { return look(slot) }
        let slot = quarantined.insert(
            Quarantined(
                buffer: buffer, generation: generation, backing: buffers[buffer].backing,
                interval: limits.firstLook))
        bufferQuarantine.append(slot, to: &buffers[buffer].quarantine)
        chargeSuspects(slot)
        look(slot)
    }

    private mutating func chargeSuspects(_ slot: Slot) {
        let buffer = quarantined[slot].buffer
        for attachment in bufferAttachments.slots(of: buffers[buffer].attachments)
        where attachments[attachment].generation == quarantined[slot].generation {
            attachments[attachment].isSuspect = true
            quarantined[slot].suspects += 1
            charge(
                .quarantinedBytes, quarantined[slot].backing.byteCount, to: clients[attachments[attachment].client].user
            )
        }
        if quarantined[slot].suspects == 0 { chargeOwner(slot) }
    }

    private mutating func chargeOwner(_ slot: Slot) {
        quarantined[slot].isOwners = true
        charge(.quarantinedBytes, quarantined[slot].backing.byteCount, to: buffers[quarantined[slot].buffer].user)
    }

    func findQuarantined(_ buffer: Slot, _ generation: Generation) -> Slot? {
        var cursor = buffers[buffer].quarantine.first
        while let slot = cursor, quarantined[slot].generation != generation { cursor = bufferQuarantine.after(slot) }
        return cursor
    }

    /// The attachment has let its old generation go, or says so.
    mutating func clearSuspect(_ attachment: Slot) {
        guard attachments[attachment].isSuspect else { return }
        attachments[attachment].isSuspect = false
        let (buffer, generation) = (attachments[attachment].buffer, attachments[attachment].generation)
        guard let slot = findQuarantined(buffer, generation) else { return }
        uncharge(
            .quarantinedBytes, quarantined[slot].backing.byteCount, from: clients[attachments[attachment].client].user)
        quarantined[slot].suspects -= 1
        if quarantined[slot].suspects == 0 { chargeOwner(slot) }
        look(slot)
    }

    /// Look now, and then after 1 ms again.
    mutating func look(_ slot: Slot) {
        quarantined[slot].interval = limits.firstLook
        deadlines.cancel(&quarantined[slot].timer)
        lookAgain(slot)
    }

    mutating func lookAgain(_ slot: Slot) {
        effects.append(.verifyRelease(buffers[quarantined[slot].buffer].id, quarantined[slot].generation))
        quarantined[slot].timer = deadlines.add(now + pause(of: slot), for: .look(slot))
        tellIdle(slot)
        let twice = Interval(nanoseconds: quarantined[slot].interval.nanoseconds &* 2)
        quarantined[slot].interval = min(twice, limits.slowestLook)
    }

    /// Each look is a file to read. Thousands that were quarantined in one step are not looked at in one step again and
    /// again: the longer the interval, the further apart they are, by up to a quarter of it.
    private func pause(of slot: Slot) -> Interval {
        let interval = quarantined[slot].interval.nanoseconds
        return Interval(nanoseconds: interval - interval / 256 * UInt64(slot % 64))
    }

    mutating func countSeen(_ id: BufferID, _ generation: Generation, _ count: Count) {
        guard let buffer = bufferSlots[id] else { return }
        if generation == buffers[buffer].generation { countSeenByRevocations(buffer, count) }
        guard let slot = findQuarantined(buffer, generation) else { return }
        let isIdle = generation != buffers[buffer].generation || buffers[buffer].fences.count == 0
        guard isIdle else { return }
        switch count {
        case .raised: return
        case .atBaseline where quarantined[slot].backing.provesRelease: release(slot, isVerified: true)
        case .atBaseline, .untold: if quarantined[slot].suspects == 0 { release(slot, isVerified: false) }
        }
    }

    private mutating func release(_ slot: Slot, isVerified: Bool) {
        let (buffer, generation) = (quarantined[slot].buffer, quarantined[slot].generation)
        if generation == buffers[buffer].generation, !buffers[buffer].isEnding {
            // The memory of a suspect buffer is quiet again, and it is live: the buffer goes on.
            guard buffers[buffer].live == 0 else { return }
            buffers[buffer].isSuspect = false
            changed(.buffer(buffers[buffer].id))
            return forget(quarantined: slot)
        }
        effects.append(.release(buffers[buffer].id, generation, isVerified: isVerified))
        tellReleased(buffer, generation, isVerified)
        uncharge(.descriptors, UInt64(quarantined[slot].backing.descriptorCount), from: buffers[buffer].user)
        if generation == buffers[buffer].generation { buffers[buffer].isReleased = true }
        forget(quarantined: slot)
        if buffers[buffer].isEnding, buffers[buffer].quarantine.count == 0 { forget(buffer: buffer) }
    }

    private mutating func tellReleased(_ buffer: Slot, _ generation: Generation, _ isVerified: Bool) {
        guard let owner = buffers[buffer].owner else { return }
        notify(owner, .released(buffers[buffer].id, generation, isVerified: isVerified))
    }

    /// Charges go back to whom they were taken from.
    private mutating func forget(quarantined slot: Slot) {
        let (buffer, bytes) = (quarantined[slot].buffer, quarantined[slot].backing.byteCount)
        for attachment in bufferAttachments.slots(of: buffers[buffer].attachments)
        where attachments[attachment].isSuspect && attachments[attachment].generation == quarantined[slot].generation {
            attachments[attachment].isSuspect = false
            uncharge(.quarantinedBytes, bytes, from: clients[attachments[attachment].client].user)
        }
        if quarantined[slot].isOwners { uncharge(.quarantinedBytes, bytes, from: buffers[buffer].user) }
        deadlines.cancel(&quarantined[slot].timer)
        bufferQuarantine.remove(slot, from: &buffers[buffer].quarantine)
        quarantined.remove(slot)
    }

    private mutating func forget(buffer slot: Slot) {
        let (user, bytes) = (buffers[slot].user, buffers[slot].backing.byteCount)
        bufferSlots[buffers[slot].id] = nil
        buffers.remove(slot)
        uncharge(.bytes, bytes, from: user)
        uncharge(.buffers, 1, from: user)
    }
}

// Rule: quarantine of the suspect.
//
// When a dead client's submitted work does not end by its fence's deadline, a device may still be writing: the buffer is
// quarantined. Nobody attaches to it, maps it, moves it or locks it, until all have detached and the count is back.

extension Registry {
    func checkNotSuspect(_ buffer: Slot, _ asker: Asker) throws(Refusal) {
        guard buffers[buffer].isSuspect else { return }
        throw .quarantined(suspects: holders(of: buffer, asSeenBy: asker.client) { $0.state != .dead })
    }

    mutating func suspect(_ buffer: Slot) {
        guard !buffers[buffer].isSuspect, !buffers[buffer].isEnding else { return }
        buffers[buffer].isSuspect = true
        changed(.buffer(buffers[buffer].id))
        publish(buffer, renewing: true)
        endMove(of: buffer, .aborted(.quarantined))
        // The notice names the buffer, so whoever has attached twice is told once.
        var told: Set<Slot> = []
        for slot in bufferAttachments.slots(of: buffers[buffer].attachments)
        where told.insert(attachments[slot].client).inserted {
            notify(attachments[slot].client, .quarantined(buffers[buffer].id, buffers[buffer].generation))
        }
        while let slot = buffers[buffer].claims.first { bufferLost(claim: slot, .quarantined(suspects: [])) }
        quarantineLive(buffer)
    }
}
