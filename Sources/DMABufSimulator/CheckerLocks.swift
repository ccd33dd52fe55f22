// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Checker {
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
            let isSuspect = world.buffers[buffer].isSuspect || suspects.contains(buffer)
            try expect(!isSuspect, .locksExclude, "a lock of a suspect buffer")
        }
        try checkQueues(open, ids)
        world.locks.append(
            SeenLock(label: nextLabel(), number: number, peer: peer, buffers: ids, until: until))
    }

    /// Nobody is overtaken, so nobody waits for more than the older tickets.
    private mutating func checkQueues(_ open: OpenRequest, _ ids: [BufferID]) throws(Violation) {
        try expect(
            open.grants <= open.ahead, .locksInOrder,
            "a ticket waited for \(open.grants) grants, and \(open.ahead) were before it")
        tally.longestQueue = max(tally.longestQueue, open.grants)
        for peer in world.peers.indices {
            for index in world.peers[peer].open.indices {
                guard case .lock(let wanted, _, _) = world.peers[peer].open[index].request,
                    wanted.contains(where: ids.contains)
                else { continue }
                world.peers[peer].open[index].grants += 1
                if world.peers[peer].open[index].label < open.label {
                    tally.overtaken += 1
                    throw Violation(.locksInOrder, "an older ticket was passed over")
                }
            }
        }
    }

    /// The older tickets for one of its buffers: those that hold it, and those that wait.
    func ticketsAhead(of ids: [BufferID]) -> Int {
        let holding = world.locks.count { !$0.isOver && $0.buffers.contains(where: ids.contains) }
        return world.peers.reduce(holding) { sum, peer in
            sum
                + peer.open.count {
                    if case .lock(let wanted, _, _) = $0.request { wanted.contains(where: ids.contains) } else { false }
                }
        }
    }

    /// What is done under a lock is done under the one that holds; what is done under none meets none.
    func checkLock(_ number: LockNumber?, on id: BufferID, _ peer: Int) throws(Violation) {
        let held = world.locks.first { !$0.isOver && $0.buffers.contains(id) }
        if let number {
            try expect(
                held?.number == number && held?.peer == peer, .locksExclude,
                "lock \(number.rawValue) was named, and does not hold")
        } else {
            try expect(held == nil || held.map { isSuspect($0.buffers) } == true, .locksExclude, "done under a lock")
        }
    }

    private func isSuspect(_ ids: [BufferID]) -> Bool {
        ids.contains { id in world.buffer(id).map { world.buffers[$0].isSuspect } ?? false }
    }

    /// Nobody holds what a dead client's device may still be writing to, nor waits for it.
    func checkSuspects() throws(Violation) {
        for buffer in suspects where !world.buffers[buffer].wasSuspect && !world.buffers[buffer].isEnded {
            let isAttached = world.attachments.contains { $0.buffer == buffer && !$0.isOver }
            try expect(!isAttached, .fencesEnd, "a dead client's work has not ended, and nobody was told")
        }
        for lock in world.locks where !lock.isOver && lock.buffers.count == 1 {
            try expect(!isSuspect(lock.buffers), .locksExclude, "lock \(lock.number.rawValue) is of a suspect buffer")
        }
        for peer in world.peers where peer.isAlive {
            for case .lock(let ids, _, _) in peer.open.map(\.request) {
                try expect(!isSuspect(ids), .waitsEnd, "waits for a lock of a suspect buffer")
            }
        }
    }

    /// A lock of several goes on over the others, also when nobody is attached who would be told.
    mutating func freeSuspects() {
        for id in suspects.map({ world.buffers[$0].id }) {
            for index in world.locks.indices where world.locks[index].buffers.count > 1 {
                world.locks[index].buffers.removeAll { $0 == id }
            }
        }
    }

    /// A ticket that nothing stands before is granted in the step that made it so.
    func checkLocksGranted() throws(Violation) {
        for peer in world.peers where peer.isAlive {
            for open in peer.open {
                guard case .lock(let ids, _, _) = open.request else { continue }
                try expect(isObstructed(ids, since: open.label), .locksInOrder, "a free lock was not granted: \(ids)")
            }
        }
    }

    private func isObstructed(_ ids: [BufferID], since label: UInt64) -> Bool {
        if world.locks.contains(where: { !$0.isOver && $0.buffers.contains(where: ids.contains) }) { return true }
        if world.buffers.contains(where: { $0.mover != nil && ids.contains($0.id) }) { return true }
        return isQueued(ids, before: label)
    }

    /// Whether an older ticket for one of them waits.
    func isQueued(_ ids: [BufferID], before label: UInt64) -> Bool {
        world.peers.contains { peer in
            peer.isAlive
                && peer.open.contains { earlier in
                    guard earlier.label < label, case .lock(let wanted, _, _) = earlier.request else { return false }
                    return wanted.contains(where: ids.contains)
                }
        }
    }
}
