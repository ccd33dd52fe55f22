// SPDX-License-Identifier: Apache-2.0

// Rule: fences end.
//
// A fence is pending, then ok, error or owner-dead, once and for good. It carries its own deadline (2 s unless it says
// otherwise, at most 10 s), after which it is an error. The death of its owner ends an eventfd, which nobody else could
// signal, and leaves a sync_file or a pidfd to be waited for; one that does not end in time makes its buffer suspect.
// A bad end is sticky: it is latched for its class, survives merges, and is made good only by a later write that ends
// well.

extension Registry {
    private static let timedOut = FenceStatus.error(110)

    mutating func fenceEnded(_ id: FenceID, _ end: FenceEnd) {
        // A late signal finds nothing: the state it would change was decided at the deadline.
        guard let slot = fenceSlots[id] else { return }
        switch end {
        case .ok: self.end(fence: slot, .ok)
        case .error(let code): self.end(fence: slot, .error(code))
        }
    }

    mutating func fenceExpired(_ slot: Slot) {
        fences[slot].timer = nil
        let (id, buffer) = (fences[slot].id, fences[slot].buffer)
        effects.append(.dropFence(id))
        guard let client = fences[slot].client else {
            suspect(buffer)
            return end(fence: slot, .ownerDead)
        }
        notify(client, .fenceExpired(id, buffers[buffer].id))
        end(fence: slot, Self.timedOut)
    }

    mutating func ownerDied(fence slot: Slot) {
        if let client = fences[slot].client { clientFences.remove(slot, from: &clients[client].fences) }
        fences[slot].client = nil
        guard fences[slot].kind == .eventFD else { return }
        effects.append(.dropFence(fences[slot].id))
        end(fence: slot, .ownerDead)
    }

    private mutating func end(fence slot: Slot, _ status: FenceStatus) {
        let fence = fences[slot]
        let buffer = fence.buffer
        forget(fence: slot)
        latch(fence, status)
        tellWaits(of: buffer, fence, status)
        advance(buffer)
        let (generation, count) = (buffers[buffer].generation, buffers[buffer].fences.count)
        if count == 0, let slot = findQuarantined(buffer, generation) { look(slot) }
    }

    /// A write that ends well replaces what the failures before it left; a failure is remembered for its class.
    private mutating func latch(_ fence: PendingFence, _ status: FenceStatus) {
        let buffer = fence.buffer
        if status == .ok, fence.usage <= .write {
            for usage in 0..<4 where buffers[buffer].latches[usage].order < fence.order {
                buffers[buffer].latches[usage] = Latch()
            }
        }
        guard status != .ok else { return }
        let old = buffers[buffer].latches[Int(fence.usage.rawValue)]
        let isWorse = old.status.merged(with: status) != old.status
        buffers[buffer].endings += 1
        buffers[buffer].latches[Int(fence.usage.rawValue)] = Latch(
            status: isWorse ? status : old.status, order: max(old.order, fence.order),
            ending: isWorse ? buffers[buffer].endings : old.ending)
    }

    /// The merged bad ends of a class and those below; `ok` if there are none.
    func latched(_ buffer: Slot, _ usage: Usage) -> FenceStatus {
        var worst = Latch()
        // Most buffers never had a fence.
        if buffers[buffer].endings == 0 { return worst.status }
        for index in 0...Int(usage.rawValue) {
            let latch = buffers[buffer].latches[index]
            let (first, second) = latch.ending < worst.ending ? (latch, worst) : (worst, latch)
            worst = first.status.merged(with: second.status) == first.status ? first : second
        }
        return worst.status
    }
}

extension FenceStatus {
    /// A merge ends with its last part and keeps the worst end; of two errors, the first.
    public func merged(with other: FenceStatus) -> FenceStatus {
        severity >= other.severity ? self : other
    }

    private var severity: Int {
        switch self {
        case .ok: 0
        case .error: 1
        case .ownerDead: 2
        case .pending: 3
        }
    }
}

// Rule: waits.
//
// A wait names what is in the table when it begins: a snapshot. It ends when the last of those fences does, with their
// merged state, or at its own deadline, and says then whom it waited for.

extension Registry {
    mutating func wait(_ id: AttachmentID, _ usage: Usage, _ within: Interval, _ asker: Asker) throws(Refusal)
        -> Answer?
    {
        let attachment = try findUsable(id, asker)
        let buffer = attachments[attachment].buffer
        guard within <= limits.longestWait else { throw .tooLong(limit: limits.longestWait) }
        // Who waits is not inside an access; of others nobody knows yet which fences are pending.
        settle(attachment)
        try checkSettled(buffer)
        let summary = summary(of: buffer, usage)
        guard summary.pending > 0 else { return .waited(summary.status) }
        try checkWaits(asker)
        let reason = Wait.Reason.fences(
            usage, before: buffers[buffer].nextOrder, remaining: coverage(of: buffer, usage), latched(buffer, usage))
        let slot = addWait(Wait(client: asker.client, number: asker.number, buffer: buffer, reason: reason))
        waits[slot].timer = deadlines.add(now + within, for: .wait(slot))
        return nil
    }

    /// The superseded ones too: they are still watched for someone, and end no later for being counted.
    private func coverage(of buffer: Slot, _ usage: Usage) -> Int {
        bufferFences.slots(of: buffers[buffer].fences).count { fences[$0].usage <= usage }
    }

    func covers(_ wait: Wait, _ fence: PendingFence) -> Bool {
        guard case .fences(let usage, let before, _, _) = wait.reason else { return false }
        return fence.usage <= usage && fence.order < before
    }

    private mutating func tellWaits(of buffer: Slot, _ fence: PendingFence, _ status: FenceStatus) {
        var cursor = buffers[buffer].waits.first
        while let slot = cursor {
            cursor = bufferWaits.after(slot)
            guard covers(waits[slot], fence),
                case .fences(let usage, let before, let remaining, let old) = waits[slot].reason
            else { continue }
            let merged = old.merged(with: status)
            waits[slot].reason = .fences(usage, before: before, remaining: remaining - 1, merged)
            guard remaining == 1 else { continue }
            let asker = Asker(client: waits[slot].client, number: waits[slot].number)
            remove(wait: slot)
            reply(asker, .waited(merged))
        }
    }

    mutating func waitExpired(_ slot: Slot) {
        waits[slot].timer = nil
        let all = bufferFences.slots(of: buffers[waits[slot].buffer].fences)
        let late = all.filter { covers(waits[slot], fences[$0]) }.prefix(FenceID.listLimit)
        refuse(wait: slot, .timedOut(waitingFor: late.map { fences[$0].id }))
    }

    func checkWaits(_ asker: Asker) throws(Refusal) {
        guard clients[asker.client].waits.count < Int(limits.waitsPerClient) else {
            throw .tooMany(.waits, limit: limits.waitsPerClient)
        }
    }

    @discardableResult
    mutating func addWait(_ wait: Wait) -> Slot {
        let slot = waits.insert(wait)
        bufferWaits.append(slot, to: &buffers[wait.buffer].waits)
        clientWaits.append(slot, to: &clients[wait.client].waits)
        return slot
    }

    mutating func refuse(wait slot: Slot, _ refusal: Refusal) {
        let asker = Asker(client: waits[slot].client, number: waits[slot].number)
        remove(wait: slot)
        reply(asker, .refused(refusal))
    }

    mutating func remove(wait slot: Slot) {
        let buffer = waits[slot].buffer
        deadlines.cancel(&waits[slot].timer)
        bufferWaits.remove(slot, from: &buffers[buffer].waits)
        clientWaits.remove(slot, from: &clients[waits[slot].client].waits)
        waits.remove(slot)
        forgetSuperseded(of: buffer)
    }
}
