// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Checker {
    mutating func watched(_ id: FenceID) throws(Violation) {
        try expect(world.fence(id) == nil, .fencesEnd, "fence \(id.rawValue) is watched twice")
        var fence = SeenFence(label: nextLabel(), id: id)
        guard case .request(let peer, _, let request) = act, let terms = request.fence,
            let buffer = bufferOfFence(request)
        else { throw Violation(.fencesEnd, "a fence that nobody brought") }
        fence.peer = peer
        fence.kind = terms.kind
        fence.timeline = terms.timeline
        fence.point = terms.point
        fence.end = world.now + terms.within
        fence.buffer = buffer
        // A copy is a write, whatever it is called.
        if case .commitMove = request { fence.usage = .write } else { fence.usage = terms.usage }
        supersede(by: fence)
        if let replaced {
            try expect(terms.point > replaced.point, .fencesEnd, "an older fence took the slot of a newer")
            fence.usage = min(fence.usage, replaced.usage)
        }
        fence.order = world.buffers[buffer].nextOrder
        world.buffers[buffer].nextOrder += 1
        world.fences.append(fence)
    }

    /// A newer fence of a context takes the slot of the older one, which is watched on for whom has named it.
    private mutating func supersede(by fence: SeenFence) {
        let older = world.fences.firstIndex {
            $0.buffer == fence.buffer && $0.peer == fence.peer && $0.timeline == fence.timeline && !$0.isSuperseded
                && !$0.isDropped && !$0.hasEnded
        }
        guard let older else { return }
        world.fences[older].isSuperseded = true
        replaced = world.fences[older]
    }

    func bufferOfFence(_ request: Request) -> Int? {
        switch request {
        case .addFence(let id, _, _), .acknowledge(let id, _, _):
            world.attachment(id).map { world.attachments[$0].buffer }
        case .commitMove(let id, _, _, _): world.buffer(id)
        default: nil
        }
    }

    func check(importing id: FenceID, _ buffer: BufferID, _ generation: Generation, _ usage: Usage) throws(Violation) {
        guard let index = world.fence(id), !world.fences[index].isDropped else {
            throw Violation(.fencesEnd, "fence \(id.rawValue) is imported and nobody watches it")
        }
        try expect(usage == .write || usage == .read, .fencesEnd, "the kernel takes no fence as \(usage)")
        try expect(
            world.fences[index].usage == usage, .fencesEnd, "a fence is imported as \(usage), and is another class")
        try expect(world.fences[index].kind == .syncFile, .fencesEnd, "only a sync_file can be imported")
        let isLive = world.buffer(buffer).map { world.buffers[$0].generation == generation } ?? false
        try expect(isLive, .oneGeneration, "a fence is imported into an old generation")
    }

    mutating func reserved(_ slots: UInt32, _ id: AttachmentID) throws(Violation) {
        guard let index = world.attachment(id) else { return }
        world.attachments[index].reserved += Int(slots)
        world.attachments[index].surelyReserved += Int(slots)
        let buffer = world.attachments[index].buffer
        var taken = pending(buffer, .bookkeep).count
        for seen in world.attachments where seen.buffer == buffer && !seen.isOver { taken += seen.surelyReserved }
        try expect(taken <= Int(limits.fencesPerBuffer), .fencesEnd, "\(taken) slots are taken")
    }

    mutating func fenceAdded(
        _ id: FenceID, _ terms: FenceTerms, _ attachment: AttachmentID, _ lock: LockNumber?, _ peer: Int
    ) throws(Violation) {
        guard let index = world.attachment(attachment) else { throw Violation(.fencesEnd, "a fence on nothing") }
        let seen = world.attachments[index]
        let buffer = world.buffers[seen.buffer]
        try expect(seen.peer == peer && !seen.isOver && seen.state == .ok, .deadHearNothing, "a fence of the gone")
        try expect(world.fence(id) != nil, .fencesEnd, "fence \(id.rawValue) was added and is not watched")
        if replaced == nil {
            try expect(seen.reserved > 0, .fencesEnd, "a fence was added without a reserved slot")
            world.attachments[index].reserved -= 1
            world.attachments[index].surelyReserved = max(0, seen.surelyReserved - 1)
        }
        let isOwing = world.peers[peer].owed.contains {
            if case .invalidate(attachment, _, _, _) = $0 { true } else { false }
        }
        try expect(buffer.mover == nil || isOwing, .fencesEnd, "a fence was added that the mover does not wait for")
        try checkLock(lock, on: buffer.id, peer)
    }

    /// It lasts from now, and a move of its buffer is held off no longer for it.
    mutating func renewed(_ id: AttachmentID, _ timeline: UInt32, _ within: Interval, _ peer: Int) throws(Violation) {
        guard let buffer = world.attachment(id).map({ world.attachments[$0].buffer }) else { return }
        let renewed = world.fences.indices.filter {
            let fence = world.fences[$0]
            return fence.buffer == buffer && fence.peer == peer && fence.timeline == timeline && !fence.isDropped
                && !fence.hasEnded
        }
        guard renewed.contains(where: { !world.fences[$0].isSuperseded }) else {
            throw Violation(.fencesEnd, "a fence was renewed that is not pending")
        }
        let end = world.now + within
        for index in renewed { world.fences[index].end = end }
        guard world.buffers[buffer].mover != nil, let last = world.buffers[buffer].moveEnd else { return }
        try expect(end <= last, .fencesEnd, "a fence holds off a move beyond its deadline")
    }

    func snapshot(_ id: AttachmentID, _ usage: Usage, _ status: FenceStatus, _ ids: [FenceID]) throws(Violation) {
        for id in ids {
            guard let fence = world.fence(id), !world.fences[fence].hasEnded, !world.fences[fence].isDropped else {
                throw Violation(.waitsAreTrue, "a snapshot shows fence \(id.rawValue), which has ended")
            }
        }
        try expect(ids.isEmpty == (status != .pending), .waitsAreTrue, "a snapshot's state and its fences differ")
        guard let buffer = world.attachment(id).map({ world.attachments[$0].buffer }) else { return }
        if world.buffers[buffer].isUncertain { return }
        let expected = pending(buffer, usage).filter { !$0.isSuperseded }
        try expect(
            ids == expected.map(\.id), .waitsAreTrue, "a snapshot of \(ids.count) fences, not \(expected.count)")
        let latched = world.buffers[buffer].latched(usage)
        try expect(!ids.isEmpty || status == latched, .waitsAreTrue, "a snapshot says \(status), not \(latched)")
    }
}

extension Request {
    /// The fence that it brings.
    var fence: FenceTerms? {
        switch self {
        case .addFence(_, let terms, _): terms
        case .acknowledge(_, _, let terms), .commitMove(_, _, _, let terms): terms
        default: nil
        }
    }
}
