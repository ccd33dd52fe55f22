// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Checker {
    mutating func watched(_ id: FenceID) throws(Violation) {
        try expect(world.fence(id) == nil, .fencesEnd, "fence \(id.rawValue) is watched twice")
        var fence = SeenFence(label: nextLabel(), id: id)
        if case .request(let peer, _, let request) = act {
            fence.peer = peer
            if let terms = request.fence {
                fence.kind = terms.kind
                fence.timeline = terms.timeline
                fence.end = world.now + terms.within
            }
            fence.buffer = bufferOfFence(request)
        }
        world.fences.append(fence)
    }

    private func bufferOfFence(_ request: Request) -> Int? {
        switch request {
        case .addFence(let id, _, _), .acknowledge(let id, _, _):
            world.attachment(id).map { world.attachments[$0].buffer }
        case .commitMove(let id, _, _, _): world.buffer(id)
        default: nil
        }
    }

    mutating func dropped(_ id: FenceID) throws(Violation) {
        guard let index = world.fence(id), !world.fences[index].isDropped else {
            throw Violation(.fencesEnd, "fence \(id.rawValue) is dropped and nobody watches it")
        }
        world.fences[index].isDropped = true
        hasDropped = true
    }

    func check(importing id: FenceID, _ buffer: BufferID, _ generation: Generation, _ usage: Usage) throws(Violation) {
        guard let index = world.fence(id), !world.fences[index].isDropped else {
            throw Violation(.fencesEnd, "fence \(id.rawValue) is imported and nobody watches it")
        }
        try expect(usage == .write || usage == .read, .fencesEnd, "the kernel takes no fence as \(usage)")
        try expect(world.fences[index].kind == .syncFile, .fencesEnd, "only a sync_file can be imported")
        let isLive = world.buffer(buffer).map { world.buffers[$0].generation == generation } ?? false
        try expect(isLive, .oneGeneration, "a fence is imported into an old generation")
    }

    mutating func fenceAdded(_ id: FenceID, _ terms: FenceTerms, _ attachment: AttachmentID, _ peer: Int)
        throws(Violation)
    {
        guard let index = world.attachment(attachment) else { throw Violation(.fencesEnd, "a fence on nothing") }
        let seen = world.attachments[index]
        try expect(seen.peer == peer && !seen.isOver && seen.state != .dead, .deadHearNothing, "a fence of the gone")
        try expect(world.fence(id) != nil, .fencesEnd, "fence \(id.rawValue) was added and is not watched")
        // A newer fence of a context takes the slot of the older one.
        let replaces = world.fences.contains {
            $0.id != id && $0.buffer == seen.buffer && $0.peer == peer && $0.timeline == terms.timeline
                && !$0.isDropped && !$0.hasEnded
        }
        // What it replaced is dropped before it is answered.
        if !replaces, !hasDropped {
            try expect(seen.reserved > 0, .fencesEnd, "a fence was added without a reserved slot")
            world.attachments[index].reserved -= 1
        }
        let end = world.now + terms.within
        let lock = world.locks.first {
            !$0.isOver && $0.peer != peer && $0.buffers.contains(world.buffers[seen.buffer].id)
        }
        try expect(lock == nil, .locksExclude, "a fence was added under another's lock")
        try expect(end >= world.now, .waitsEnd, "a fence that ended before it was added")
    }

    /// A wait that ended well leaves no fence of its buffer that was there when it began, and is still pending.
    func waited(_ id: AttachmentID, _ usage: Usage, _ status: FenceStatus, _ open: OpenRequest) throws(Violation) {
        try expect(status != .pending, .waitsAreTrue, "a wait that ended as pending")
    }

    func snapshot(_ id: AttachmentID, _ usage: Usage, _ status: FenceStatus, _ ids: [FenceID]) throws(Violation) {
        for id in ids {
            guard let fence = world.fence(id), !world.fences[fence].hasEnded, !world.fences[fence].isDropped else {
                throw Violation(.waitsAreTrue, "a snapshot shows fence \(id.rawValue), which has ended")
            }
        }
        try expect(ids.isEmpty == (status != .pending), .waitsAreTrue, "a snapshot's state and its fences differ")
    }

    mutating func locked(
        _ number: LockNumber, _ ids: [BufferID], _ until: Instant, _ open: OpenRequest, _ peer: Int
    ) throws(Violation) {
        try expect(world.lock(number) == nil, .locksExclude, "lock \(number.rawValue) was granted twice")
        for lock in world.locks where !lock.isOver && !isCutOff(lock.peer) {
            try expect(lock.peer != peer, .locksExclude, "a second lock for one client")
            try expect(!lock.buffers.contains(where: ids.contains), .locksExclude, "two locks of one buffer")
        }
        for id in ids {
            guard let buffer = world.buffer(id), !world.buffers[buffer].isEnded else {
                throw Violation(.locksExclude, "a lock of what has ended")
            }
            try expect(isOver(moveBy: world.buffers[buffer].mover), .locksExclude, "a lock of a buffer that is moving")
        }
        for other in world.peers {
            for earlier in other.open where earlier.label < open.label {
                guard case .lock(let wanted, _, _) = earlier.request else { continue }
                try expect(!wanted.contains(where: ids.contains), .locksInOrder, "an older ticket was passed over")
            }
        }
        world.locks.append(
            SeenLock(label: nextLabel(), number: number, peer: peer, buffers: ids, until: until))
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
