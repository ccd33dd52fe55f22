// SPDX-License-Identifier: Apache-2.0

// Rule: reservation.
//
// Each buffer has a table of fences in four usage classes, kernel < write < read < bookkeep; asking for a class returns the
// lower ones too (`enum dma_resv_usage`). There is one slot per fence context, which is (client, timeline): a newer fence
// replaces an older of its context, and may promote its class but never degrade it. A slot is reserved first, which can
// be refused; adding to a reserved slot cannot be refused for want of room (`dma_resv_reserve_fences`,
// `dma_resv_add_fence`). A fence stands for work already submitted: it outlives the attachment it was added by.

extension Registry {
    mutating func reserve(_ id: AttachmentID, _ slots: UInt32, _ asker: Asker) throws(Refusal) -> Answer {
        let slot = try findUsable(id, asker)
        let buffer = attachments[slot].buffer
        guard attachments[slot].rights.contains(.fence) else { throw .forbidden(missing: .fence) }
        try checkSlots(slots, on: buffer)
        attachments[slot].reserved += slots
        buffers[buffer].reserved += slots
        return .done
    }

    func checkSlots(_ slots: UInt32, on buffer: Slot) throws(Refusal) {
        let taken = UInt64(buffers[buffer].reserved) + UInt64(buffers[buffer].fences.count)
        guard taken + UInt64(slots) <= UInt64(limits.fencesPerBuffer) else {
            throw .noSlots(limit: limits.fencesPerBuffer)
        }
    }

    mutating func addFence(_ id: AttachmentID, _ terms: FenceTerms, _ lock: LockNumber?, _ asker: Asker) throws(Refusal)
        -> Answer
    {
        let slot = try findUsable(id, asker)
        let buffer = attachments[slot].buffer
        try checkFence(terms, by: asker.client, attachments[slot].rights, on: buffer)
        // During a move only those who are still waited for have work that the mover does not know of.
        if let move = buffers[buffer].move, !attachments[slot].owesMove { throw .moving(until: move.until) }
        try checkLock(lock, on: buffer, asker)
        if findFence(asker.client, terms.timeline, on: buffer) == nil {
            guard attachments[slot].reserved > 0 else { throw .notReserved }
            attachments[slot].reserved -= 1
            buffers[buffer].reserved -= 1
        }
        return .fenceAdded(add(terms, by: asker.client, on: buffer))
    }

    func checkFence(_ terms: FenceTerms, by client: Slot, _ rights: Rights, on buffer: Slot) throws(Refusal) {
        let needed: Rights = terms.usage == .kernel ? [.fence, .move] : .fence
        guard rights.isSuperset(of: needed) else { throw .forbidden(missing: needed.subtracting(rights)) }
        guard terms.within <= FenceTerms.longestInterval else { throw .tooLong(limit: FenceTerms.longestInterval) }
        if let older = findFence(client, terms.timeline, on: buffer), terms.point <= fences[older].point {
            throw .notLater(than: fences[older].point)
        }
    }

    /// The fence in the slot of a context. The table is small, so it is walked, as `dma_resv_add_fence` does.
    private func findFence(_ client: Slot, _ timeline: UInt32, on buffer: Slot) -> Slot? {
        var cursor = buffers[buffer].fences.first
        while let slot = cursor {
            let isMeant = fences[slot].client == client && fences[slot].timeline == timeline
            if isMeant, !fences[slot].isSuperseded { return slot }
            cursor = bufferFences.after(slot)
        }
        return nil
    }

    @discardableResult
    mutating func add(_ terms: FenceTerms, by client: Slot, on buffer: Slot) -> FenceID {
        var usage = terms.usage
        if let older = findFence(client, terms.timeline, on: buffer) {
            usage = min(usage, fences[older].usage)
            supersede(older)
        }
        let id = FenceID(freshNumber())
        let slot = fences.insert(
            PendingFence(
                id: id, buffer: buffer, client: client, timeline: terms.timeline, point: terms.point, usage: usage,
                kind: terms.kind, order: buffers[buffer].nextOrder))
        buffers[buffer].nextOrder += 1
        fenceSlots[id] = slot
        bufferFences.append(slot, to: &buffers[buffer].fences)
        clientFences.append(slot, to: &clients[client].fences)
        fences[slot].timer = deadlines.add(now + terms.within, for: .fence(slot))
        effects.append(.watchFence(id))
        if buffers[buffer].fences.count == 1 { publish(buffer) }
        // The kernel takes sync_files, in these two classes only (`DMA_BUF_IOCTL_IMPORT_SYNC_FILE`).
        if terms.kind == .syncFile, usage == .write || usage == .read {
            effects.append(.importFence(id, buffers[buffer].id, buffers[buffer].generation, usage))
        }
        return id
    }

    /// A newer fence of the context implies the older, so it is forgotten, unless a wait that began before names it.
    private mutating func supersede(_ slot: Slot) {
        guard isWaitedFor(slot) else {
            effects.append(.dropFence(fences[slot].id))
            return forget(fence: slot)
        }
        fences[slot].isSuperseded = true
    }

    /// The wait that named them was the last to do so.
    mutating func forgetSuperseded(of buffer: Slot) {
        var cursor = buffers[buffer].fences.first
        var hasForgotten = false
        while let slot = cursor {
            cursor = bufferFences.after(slot)
            guard fences[slot].isSuperseded, !isWaitedFor(slot) else { continue }
            effects.append(.dropFence(fences[slot].id))
            forget(fence: slot)
            hasForgotten = true
        }
        // A move may have waited for the last of them.
        if hasForgotten { advance(buffer) }
    }

    private func isWaitedFor(_ slot: Slot) -> Bool {
        var cursor = buffers[fences[slot].buffer].waits.first
        while let wait = cursor {
            if covers(waits[wait], fences[slot]) { return true }
            cursor = bufferWaits.after(wait)
        }
        return false
    }

    mutating func forget(fence slot: Slot) {
        deadlines.cancel(&fences[slot].timer)
        let buffer = fences[slot].buffer
        bufferFences.remove(slot, from: &buffers[buffer].fences)
        if buffers[buffer].fences.count == 0 { publish(buffer) }
        if let client = fences[slot].client { clientFences.remove(slot, from: &clients[client].fences) }
        fenceSlots[fences[slot].id] = nil
        fences.remove(slot)
    }
}

// Rule: renewal.
//
// Work that takes longer than a fence may last has its fence renewed, by its promiser, while it is pending: it is the same
// fence, and who waits for it waits on. That says nothing new, so it needs no lock, and is done during a move as well,
// which waits for all fences: but no further than to the move's own deadline, for nobody holds off a move for longer than
// its mover has agreed to. Those whose places it took, and that somebody still waits for, stand for the same work.

extension Registry {
    mutating func renewFence(_ id: AttachmentID, _ timeline: UInt32, _ within: Interval, _ asker: Asker)
        throws(Refusal) -> Answer
    {
        let attachment = try findUsable(id, asker)
        guard attachments[attachment].rights.contains(.fence) else { throw .forbidden(missing: .fence) }
        guard within <= FenceTerms.longestInterval else { throw .tooLong(limit: FenceTerms.longestInterval) }
        let buffer = attachments[attachment].buffer
        guard findFence(asker.client, timeline, on: buffer) != nil else { throw .noSuchFence }
        if let move = buffers[buffer].move, now + within > move.until { throw .moving(until: move.until) }
        var cursor = buffers[buffer].fences.first
        while let slot = cursor {
            cursor = bufferFences.after(slot)
            guard fences[slot].client == asker.client, fences[slot].timeline == timeline else { continue }
            deadlines.cancel(&fences[slot].timer)
            fences[slot].timer = deadlines.add(now + within, for: .fence(slot))
        }
        return .done
    }
}

// Rule: snapshots.
//
// What is asked for is what is in the table now; later fences are not in it.

extension Registry {
    func snapshot(_ id: AttachmentID, _ usage: Usage, _ asker: Asker) throws(Refusal) -> Answer {
        let buffer = attachments[try findUsable(id, asker)].buffer
        let listed = bufferFences.slots(of: buffers[buffer].fences)
            .filter { fences[$0].usage <= usage && !fences[$0].isSuperseded }
            .prefix(FenceID.listLimit)
        return .snapshot(summary(of: buffer, usage).status, listed.map { fences[$0].id })
    }

    func summary(of buffer: Slot, _ usage: Usage) -> FenceSummary {
        var pending = 0
        var cursor = buffers[buffer].fences.first
        while let slot = cursor {
            if fences[slot].usage <= usage, !fences[slot].isSuperseded { pending += 1 }
            cursor = bufferFences.after(slot)
        }
        return FenceSummary(status: pending > 0 ? .pending : latched(buffer, usage), pending: pending)
    }
}
