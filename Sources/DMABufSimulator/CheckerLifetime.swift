// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// How long buffers live, and when their memory is free.
extension Checker {
    /// A buffer ends when it is kept by nobody any more.
    func checkMayEnd(_ buffer: Int) throws(Violation) {
        let seen = world.buffers[buffer]
        var isLeft = seen.isWithdrawn
        // Its answer comes last.
        if case .request(_, _, .withdraw(seen.id)) = act { isLeft = true }
        if seen.kept != .registry, !world.peers[seen.owner].isAlive { isLeft = true }
        try expect(
            isLeft && (seen.kept == .owner || !isUsed(buffer)), .livesAsKept, "buffer \(seen.id.low) ended, and is kept"
        )
    }

    /// Whether an attachment is not DEAD. Who is cut off in this step is told no more of what it has lost.
    private func isUsed(_ buffer: Int) -> Bool {
        world.attachments.contains {
            $0.buffer == buffer && !$0.isOver && $0.state != .dead && !isCutOff($0.peer)
        }
    }

    /// A number that is given again names nothing of the buffer that had it.
    mutating func forgetLast(_ id: BufferID) {
        for index in world.locks.indices { world.locks[index].buffers.removeAll { $0 == id } }
        world.tokens.removeAll { $0.buffer == id }
    }

    /// A count that is not raised may end a suspicion, if nobody is attached when all that was due is done.
    mutating func counted(_ id: BufferID, _ generation: Generation, _ count: Count) {
        guard let buffer = world.buffer(id), world.buffers[buffer].generation == generation else { return }
        if case .raised = count { return }
        if !isUsed(buffer) { world.buffers[buffer].isSuspect = false }
    }

    mutating func released(_ id: BufferID, _ generation: Generation, _ isVerified: Bool) throws(Violation) {
        guard let buffer = world.buffer(id) else { throw Violation(.releasedOnce, "nothing was released") }
        let seen = world.buffers[buffer]
        try expect(generation <= seen.generation, .releasedOnce, "a generation to come was released")
        try expect(!seen.released.contains(generation), .releasedOnce, "released twice: \(generation.rawValue)")
        try checkProof(seen, generation, isVerified)
        if !isVerified {
            let isHeld = world.attachments.contains {
                $0.buffer == buffer && !$0.isOver && $0.generation == generation
            }
            try expect(!isHeld, .releasedOnce, "released under its importers")
        }
        if generation == seen.generation {
            if !seen.isEnded { try checkMayEnd(buffer) }
            try expect(!isUsed(buffer), .releasedOnce, "the live generation was released under its importers")
            world.buffers[buffer].isEnded = true
        } else if !seen.isWithdrawn, !seen.isEnded {
            releases.append((buffer, generation))
        }
        world.buffers[buffer].released.append(generation)
        world.looks.removeAll { $0.buffer == id && $0.generation == generation }
    }

    private func checkProof(_ seen: SeenBuffer, _ generation: Generation, _ isVerified: Bool) throws(Violation) {
        guard case .observe(.count(seen.id, generation, let count)) = act else {
            throw Violation(.releasedOnce, "released without a look at the count")
        }
        if case .raised = count { throw Violation(.releasedOnce, "released while the count was raised") }
        let backing = seen.backings[Int(generation.rawValue) - 1]
        try expect(
            isVerified == (backing.provesRelease && count == .atBaseline), .releasedOnce,
            "called \(isVerified ? "verified" : "unverified") at \(count)")
    }

    /// The owner learns that its memory is free.
    func checkReleasesTold() throws(Violation) {
        for (buffer, generation) in releases {
            let seen = world.buffers[buffer]
            guard world.peers[seen.owner].isAlive, !seen.isEnded else { continue }
            throw Violation(.noticeOnce, "the owner was not told of the release of generation \(generation.rawValue)")
        }
    }
}
