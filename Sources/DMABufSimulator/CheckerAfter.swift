// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// What must hold after each step, and not only at an effect.
extension Checker {
    mutating func after(_ registry: Registry) throws(Violation) {
        try checkAnswered()
        try checkWaitBegun()
        try checkLenders()
        try checkMoveWaiters()
        try checkLeaving()
        try checkReleasesTold()
        try checkSuspects()
        freeSuspects()
        try checkMovesTold()
        try checkFencesOfTheDead()
        try checkPages()
        forgetOldQuestions()
        if !isConnection {
            forgetQuestions()
            try checkCondemned()
        }
        try checkWaits(registry.nextDeadline)
        if act == .expire { try checkDue() }
        try checkLocksGranted()
        for copy in world.copies {
            let isMoving = world.buffer(copy.buffer).map { world.buffers[$0].mover != nil } ?? false
            try expect(isMoving, .copiesPair, "a copy was not cancelled with its move")
        }
        try checkShares(registry)
        for uid in Self.uids { try checkLedger(registry.ledger(of: uid), of: uid) }
    }

    static let uids: [UInt32] = [1000, 1001, 1002]

    /// Only what may wait is still open.
    private func checkAnswered() throws(Violation) {
        guard case .request(let peer, let number, let request) = act, !request.mayWait else { return }
        let isOpen = world.peers[peer].open.contains { $0.number == number }
        try expect(!isOpen, .answeredOnce, "never answered: \(request)")
    }

    /// A request that waits has been granted as far as it goes.
    private mutating func checkWaitBegun() throws(Violation) {
        guard case .request(let peer, let number, let request) = act, world.peers[peer].isAlive else { return }
        guard world.peers[peer].open.contains(where: { $0.number == number }) else { return }
        try checkRights(request, peer)
        waitBegun(peer, number)
    }

    private mutating func checkMovesTold() throws(Violation) {
        for buffer in ended {
            if let untold = world.buffers[buffer].untold {
                try expect(!world.peers[untold].isAlive, .noticeOnce, "a mover was not told how its move ended")
                world.buffers[buffer].untold = nil
            }
            for seen in world.attachments where seen.buffer == buffer && !seen.isOver {
                try expect(
                    !seen.awaitsMove || world.buffers[buffer].mover != nil, .noticeOnce,
                    "attachment \(seen.id.rawValue) was told of a move and not of its end")
            }
        }
    }

    private func checkFencesOfTheDead() throws(Violation) {
        for fence in world.fences where fence.kind == .eventFD && !fence.isDropped && !fence.hasEnded {
            guard let peer = fence.peer, !world.peers[peer].isAlive else { continue }
            throw Violation(.deadHearNothing, "eventfd fence \(fence.id.rawValue) outlived its promiser")
        }
    }

    private func checkWaits(_ next: Instant?) throws(Violation) {
        if next != nil { return }
        for peer in world.peers where peer.isAlive {
            try expect(peer.open.isEmpty, .waitsEnd, "waited for without an end: \(peer.open)")
            try expect(peer.owed.isEmpty, .waitsEnd, "owed without an end: \(peer.owed)")
        }
        try expect(!world.buffers.contains { $0.mover != nil }, .waitsEnd, "a move without an end")
        try expect(!world.locks.contains { !$0.isOver }, .waitsEnd, "a lock without an end")
        try expect(!world.fences.contains { !$0.isDropped && !$0.hasEnded }, .waitsEnd, "a fence without an end")
    }

    /// A revocation that is over asks nothing.
    private mutating func forgetOldQuestions() {
        let now = world.now
        for peer in world.peers.indices {
            world.peers[peer].owed.removeAll {
                if case .revoke(_, _, _, let until) = $0 { until <= now } else { false }
            }
        }
    }

    /// Nothing is left whose time is over. What ends now may have begun now, when others were cut off.
    private func checkDue() throws(Violation) {
        let now = world.now
        for peer in world.peers where peer.isAlive {
            for open in peer.open {
                guard let bound = open.request.bound, open.asked + bound < now else { continue }
                throw Violation(.waitsEnd, "still waiting past its end: \(open.request)")
            }
            for case .invalidate(let id, _, _, let until) in peer.owed {
                try expect(until >= now, .waitsEnd, "attachment \(id.rawValue) is waited for past the deadline")
            }
        }
        for lock in world.locks where !lock.isOver {
            try expect(lock.until >= now, .locksExclude, "lock \(lock.number.rawValue) outlived its end")
        }
        for fence in world.fences where !fence.isDropped && !fence.hasEnded {
            try expect(fence.end ?? now >= now, .fencesEnd, "fence \(fence.id.rawValue) outlived its end")
        }
    }

    /// A recount of what the outside has seen granted and given back.
    private func checkLedger(_ ledger: Ledger, of uid: UInt32) throws(Violation) {
        var notices = 0
        var attachments = 0
        for peer in world.peers where peer.isAlive && peer.identity.uid == uid { notices += peer.unread }
        for seen in world.attachments where !seen.isOver && world.peers[seen.peer].identity.uid == uid {
            attachments += 1
        }
        var buffers = 0
        var bytes: UInt64 = 0
        for seen in world.buffers where world.peers[seen.owner].identity.uid == uid && !seen.isForgotten {
            buffers += 1
            bytes += seen.byteCount
        }
        try expect(ledger[.notices] == UInt64(notices), .ledgersBalance, "\(ledger[.notices]) notices, not \(notices)")
        try expect(
            ledger[.attachments] == UInt64(attachments), .ledgersBalance,
            "\(ledger[.attachments]) attachments of \(uid), not \(attachments)")
        try expect(
            ledger[.buffers] == UInt64(buffers) && ledger[.bytes] == bytes, .ledgersBalance,
            "\(ledger[.buffers]) buffers of \(uid), not \(buffers)")
    }

    /// When everybody is gone and all memory is back, nothing is left.
    func atTheEnd(_ registry: Registry) throws(Violation) {
        try expect(registry.ledger.isZero, .ledgersBalance, "not zero at the end: \(registry.ledger)")
        try expect(registry.nextDeadline == nil, .waitsEnd, "a deadline when nobody is left")
        for fence in world.fences where !fence.isDropped && !fence.hasEnded {
            throw Violation(.fencesEnd, "fence \(fence.id.rawValue) is still watched")
        }
        for seen in world.buffers where !seen.isForgotten {
            throw Violation(.releasedOnce, "memory of buffer \(seen.id.low) was never released")
        }
        try expect(world.copies.isEmpty, .copiesPair, "a copy is still under way")
    }
}

extension SeenBuffer {
    /// Whether all its memory is back.
    var isForgotten: Bool { isEnded && UInt64(released.count) == generation.rawValue }
}

extension Request {
    /// Whether its answer may come later.
    var mayWait: Bool {
        switch self {
        case .attach, .attachNamed, .map, .wait, .lock, .revoke: true
        default: false
        }
    }

    /// How long it may wait.
    var bound: Interval? {
        switch self {
        case .wait(_, _, let within), .lock(_, let within, _): within
        // The ladder, and then a bounded look at the count.
        case .revoke(_, let terms): Interval(nanoseconds: terms.within.nanoseconds + 1_000_000_000)
        default: nil
        }
    }
}
