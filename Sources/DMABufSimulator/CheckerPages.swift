// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Those who count their accesses themselves: what they may believe of what is published, and what of their counts counts.
extension Checker {
    mutating func counted(_ id: AttachmentID, _ count: Int) {
        guard let index = world.attachment(id), !world.attachments[index].isOver else { return }
        world.attachments[index].counted = count
        guard !world.attachments[index].hasWord else { return }
        world.attachments[index].hasWord = true
        // From here on what was granted before is as good as what is published.
        world.attachments[index].stamp = world.buffers[world.attachments[index].buffer].stamp
    }

    mutating func mappedWithWord(_ index: Int, _ generation: Generation) {
        world.attachments[index].generation = generation
        world.attachments[index].wasToldToFollow = false
        if world.attachments[index].hasWord {
            world.attachments[index].stamp = world.buffers[world.attachments[index].buffer].stamp
        }
    }

    mutating func published(_ id: BufferID, _ published: Published) throws(Violation) {
        let hasWord = world.attachments.contains { $0.hasWord && world.buffers[$0.buffer].id == id }
        guard let buffer = world.buffer(id), hasWord else {
            throw Violation(.pagesTell, "published for nobody: \(id.low)")
        }
        if published.isRenewed { world.buffers[buffer].stamp += 1 }
        world.buffers[buffer].published = published
    }

    /// One that is inside an access that it counts itself has not let go, whatever it says.
    mutating func acknowledged(_ id: AttachmentID) throws(Violation) {
        guard let index = world.attachment(id) else { return }
        world.attachments[index].accesses = 0
        func isQuestion(_ notice: Notice) -> Bool { if case .invalidate = notice { true } else { false } }
        if world.attachments[index].counted > 0 { return try checkAsked(id, isQuestion) }
        try settle(id, isQuestion)
    }

    /// A move that is decided has used up what the words said.
    private mutating func forgetCounts() throws(Violation) {
        guard let buffer = begun else { return }
        for index in world.attachments.indices where world.attachments[index].buffer == buffer {
            let seen = world.attachments[index]
            let isHolder = seen.counted > 0 && seen.generation == world.buffers[buffer].generation
            let isForgotten = isHolder && !seen.isOver && seen.state == .ok && !seen.awaitsMove
            try expect(
                !isForgotten || world.buffers[buffer].mover == nil, .pagesTell,
                "attachment \(seen.id.rawValue) was inside an access, and the move does not wait for it")
            world.attachments[index].counted = 0
        }
    }

    mutating func checkPages() throws(Violation) {
        // What was lost in this same step was due, and so was lost before.
        if case .observe(.accesses(let id, let count)) = act, let index = world.attachment(id),
            !world.attachments[index].isOver
        {
            world.attachments[index].counted = Int(count)
        }
        try forgetCounts()
        for buffer in world.buffers where !buffer.isEnded {
            guard let published = buffer.published else { continue }
            try expect(
                published.isMoving == (buffer.mover != nil), .pagesTell,
                "buffer \(buffer.id.low) is published as \(published.isMoving ? "moving" : "at rest")")
        }
        for seen in world.attachments where !seen.isOver {
            let buffer = world.buffers[seen.buffer]
            guard let published = buffer.published, !buffer.isEnded, !published.isMoving, seen.stamp == buffer.stamp
            else { continue }
            try expect(seen.state == .ok, .pagesTell, "attachment \(seen.id.rawValue) is revoked and may begin")
            try expect(
                seen.generation == buffer.generation, .pagesTell,
                "attachment \(seen.id.rawValue) may begin on an old generation")
            let isAsked = world.peers[seen.peer].owed.contains {
                if case .revoke(seen.id, _, _, _) = $0 { true } else { false }
            }
            try expect(!isAsked, .pagesTell, "attachment \(seen.id.rawValue) is being revoked and may begin")
        }
    }

    /// One that a move did not tell, and that keeps old memory.
    mutating func toldToFollow(_ index: Int, _ generation: Generation) throws(Violation) {
        let seen = world.attachments[index]
        try expect(
            seen.generation < generation && !seen.wasToldToFollow, .noticeOnce,
            "attachment \(seen.id.rawValue) was told to follow, and had or knew")
        world.attachments[index].wasToldToFollow = true
    }
}
