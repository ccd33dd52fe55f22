// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// How fences end: what is latched of that, and what the waits that name them are told.
extension Checker {
    /// A signal that comes before the fence's own deadline.
    mutating func signalled(_ id: FenceID, _ end: FenceEnd) {
        guard let index = world.fence(id) else { return }
        let fence = world.fences[index]
        world.fences[index].hasEnded = true
        guard !fence.hasEnded, !fence.isDropped, let buffer = fence.buffer else { return }
        // What else was due came first, and this checker sees only then what that was.
        if isLate { return world.buffers[buffer].isUncertain = true }
        switch end {
        case .ok: ended(index, .ok)
        case .error(let code): ended(index, .error(code))
        }
    }

    mutating func dropped(_ id: FenceID) throws(Violation) {
        guard let index = world.fence(id), !world.fences[index].isDropped else {
            throw Violation(.fencesEnd, "fence \(id.rawValue) is dropped and nobody watches it")
        }
        let fence = world.fences[index]
        world.fences[index].isDropped = true
        hasDropped = true
        guard let buffer = fence.buffer, let peer = fence.peer, !fence.hasEnded else { return }
        let isDead = !world.peers[peer].isAlive
        let isDue = fence.end.map { $0 <= world.now } ?? true
        if fence.isSuperseded {
            // Its end, or that of the last wait that named it.
            if isDead || isDue { world.buffers[buffer].isUncertain = true }
        } else if isDue, isDead, fence.kind == .eventFD {
            // Whichever came first, its deadline or its promiser's death.
            world.buffers[buffer].isUncertain = true
        } else if isDue {
            // An eventfd ends with its promiser, even when both ends fall together: no device writes behind it.
            if isDead, fence.kind != .eventFD { suspects.append(buffer) }
            ended(index, isDead ? .ownerDead : .error(110))
        } else if isDead {
            try expect(fence.kind == .eventFD, .fencesEnd, "a device may still be writing to a dead client's buffer")
            ended(index, .ownerDead)
        } else {
            try expect(isSuperseding(fence), .fencesEnd, "fence \(id.rawValue) is dropped, and none took its slot")
            replaced = fence
        }
    }

    /// Whether the step under way brings a newer fence of the same context.
    private func isSuperseding(_ fence: SeenFence) -> Bool {
        guard case .request(let peer, _, let request) = act, fence.peer == peer else { return false }
        return request.fence?.timeline == fence.timeline && bufferOfFence(request) == fence.buffer
    }

    private mutating func ended(_ index: Int, _ status: FenceStatus) {
        let fence = world.fences[index]
        guard let buffer = fence.buffer else { return }
        world.fences[index].hasEnded = true
        world.buffers[buffer].latch(status, of: fence)
        for peer in world.peers.indices {
            for open in world.peers[peer].open.indices where covers(world.peers[peer].open[open], fence) {
                let merged = world.peers[peer].open[open].merged
                if status.severity > merged.severity { world.peers[peer].open[open].merged = status }
            }
        }
    }

    /// Whether a wait names the fence.
    private func covers(_ open: OpenRequest, _ fence: SeenFence) -> Bool {
        guard case .wait(let id, let usage, _) = open.request, let before = open.before,
            let index = world.attachment(id), world.attachments[index].buffer == fence.buffer
        else { return false }
        return fence.usage <= usage && fence.order < before
    }

    /// A wait names what is there when it begins.
    mutating func waitBegun(_ peer: Int, _ number: RequestNumber) {
        guard let open = world.peers[peer].open.firstIndex(where: { $0.number == number }),
            case .wait(let id, let usage, _) = world.peers[peer].open[open].request, let index = world.attachment(id)
        else { return }
        let buffer = world.attachments[index].buffer
        world.peers[peer].open[open].before = world.buffers[buffer].nextOrder
        world.peers[peer].open[open].merged = world.buffers[buffer].latched(usage)
    }

    func pending(_ buffer: Int, _ usage: Usage) -> [SeenFence] {
        world.fences.filter { $0.buffer == buffer && $0.usage <= usage && !$0.hasEnded && !$0.isDropped }
    }

    func waited(_ id: AttachmentID, _ usage: Usage, _ status: FenceStatus, _ open: OpenRequest) throws(Violation) {
        try expect(status != .pending, .waitsAreTrue, "a wait that ended as pending")
        guard let index = world.attachment(id) else { return }
        let buffer = world.attachments[index].buffer
        guard !world.buffers[buffer].isUncertain else { return }
        let left = pending(buffer, usage).filter { covers(open, $0) || open.before == nil && !$0.isSuperseded }
        try expect(left.isEmpty, .waitsAreTrue, "a wait ended before fence \(left.first?.id.rawValue ?? 0)")
        let expected = open.before == nil ? world.buffers[buffer].latched(usage) : open.merged
        try expect(status == expected, .waitsAreTrue, "a wait ended \(status), and its fences \(expected)")
    }

    func timedOut(_ ids: [FenceID], _ open: OpenRequest) throws(Violation) {
        try expect(!ids.isEmpty, .waitsAreTrue, "a wait timed out for nothing")
        // What was due is done before a signal that comes late.
        for id in ids where !act.ends(id) {
            guard let fence = world.fence(id), !world.fences[fence].hasEnded else {
                throw Violation(.waitsAreTrue, "a wait timed out for fence \(id.rawValue), which had ended")
            }
        }
        // The superseded that only it had named are dropped by its end.
        guard ids.count < FenceID.listLimit else { return }
        for fence in world.fences where covers(open, fence) && !fence.hasEnded && !fence.isDropped {
            try expect(
                ids.contains(fence.id), .waitsAreTrue, "fence \(fence.id.rawValue) was waited for, and not named")
        }
    }

    /// What an importer is told to wait for.
    func check(_ fences: FenceSummary, _ id: AttachmentID) throws(Violation) {
        guard let seen = world.attachment(id).map({ world.attachments[$0] }) else { return }
        if world.buffers[seen.buffer].isUncertain { return }
        let usage = Usage.waited(before: seen.access)
        let pending = pending(seen.buffer, usage).count { !$0.isSuperseded }
        let status = pending > 0 ? .pending : world.buffers[seen.buffer].latched(usage)
        try expect(
            fences.pending == pending && fences.status == status, .waitsAreTrue,
            "told \(fences.status) of \(fences.pending) fences, not \(status) of \(pending)")
    }
}

/// The bad ends of a class that no later write has made good.
struct SeenLatch: Sendable {
    var status = FenceStatus.ok
    /// The newest of them.
    var order = 0
    /// When the worst came.
    var ending = 0
}

extension SeenBuffer {
    mutating func latch(_ status: FenceStatus, of fence: SeenFence) {
        endings += 1
        if status == .ok {
            guard fence.usage <= .write else { return }
            for usage in latches.indices where latches[usage].order < fence.order { latches[usage] = SeenLatch() }
            return
        }
        let usage = Int(fence.usage.rawValue)
        latches[usage].order = max(latches[usage].order, fence.order)
        guard status.severity > latches[usage].status.severity else { return }
        (latches[usage].status, latches[usage].ending) = (status, endings)
    }

    /// The worst of a class and those below it; of two alike the first.
    func latched(_ usage: Usage) -> FenceStatus {
        var worst = SeenLatch()
        for latch in latches[...Int(usage.rawValue)] {
            let isWorse = latch.status.severity > worst.status.severity
            let isEarlier = latch.status.severity == worst.status.severity && latch.ending < worst.ending
            if isWorse || isEarlier { worst = latch }
        }
        return worst.status
    }
}

extension FenceStatus {
    var severity: Int {
        switch self {
        case .ok: 0
        case .error: 1
        case .ownerDead: 2
        case .pending: 3
        }
    }
}
