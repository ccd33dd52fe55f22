// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Checker {
    mutating func check(_ notice: Notice, to client: ClientID) throws(Violation) {
        guard let peer = world.peer(client), world.peers[peer].isAlive else {
            throw Violation(.deadHearNothing, "a notice to client \(client.rawValue), which is gone: \(notice)")
        }
        world.peers[peer].unread += 1
        let unread = world.peers[peer].unread
        try expect(unread <= Int(limits.noticesPerClient), .fairShares, "\(unread) notices are unread")
        if let id = notice.attachment {
            guard let index = world.attachment(id), !world.attachments[index].isOver else {
                throw Violation(.noticeOnce, "a notice about an attachment that is over: \(notice)")
            }
            try expect(world.attachments[index].peer == peer, .noticeOnce, "a notice for someone else: \(notice)")
            try check(notice, index, peer)
        } else {
            try check(notice, peer)
        }
    }

    private mutating func check(_ notice: Notice, _ index: Int, _ peer: Int) throws(Violation) {
        let seen = world.attachments[index]
        let buffer = seen.buffer
        switch notice {
        case .invalidate(_, _, let generation, let until):
            try expect(seen.accesses + seen.counted > 0, .noticeOnce, "the idle are not waited for")
            try expect(until >= world.now, .waitsEnd, "a deadline in the past")
            try told(index, generation)
            world.peers[peer].owed.append(notice)
        case .moving(_, _, let generation):
            try expect(seen.accesses == 0, .noticeOnce, "a holder was told as if it were idle")
            try expect(!seen.hasWord, .noticeOnce, "a move told an idle importer that looks for itself")
            try told(index, generation)
        case .moved(_, _, let generation):
            let present = world.buffers[buffer].generation
            let isFollowing = seen.hasWord && !seen.awaitsMove
            // What was due, the word to the idle among it, comes before this step's own commit.
            let isJustOver = isFollowing && generation.next == present && ended.contains(buffer)
            try expect(generation == present || isJustOver, .oneGeneration, "moved to an old generation")
            if isFollowing { return try toldToFollow(index, generation) }
            try expect(ended.contains(buffer), .oneGeneration, "told of a commit that was not")
            world.attachments[index].wasToldToFollow = true
            try toldEnd(index)
        case .moveAborted(_, _, let generation):
            moveEnded(buffer)
            try expect(generation == world.buffers[buffer].generation, .oneGeneration, "back to an old generation")
            try toldEnd(index)
        case .revoke(_, _, let isFinal, let until):
            try expect(until >= world.now, .waitsEnd, "a deadline in the past")
            world.peers[peer].owed.append(notice)
            try asked(index, isFinal: isFinal, until: until)
        case .revoked(_, _, let state): try told(index, lost: state)
        case .restored:
            try expect(seen.state == .revoked, .noticeOnce, "restored what was not revoked")
            world.attachments[index].isBarred = false
        case .attachmentEnded:
            try checkMayEnd(buffer)
            world.buffers[buffer].isEnded = true
            world.attachments[index].isOver = true
            forgetOwed(seen.id, peer)
        default: break
        }
    }

    private mutating func told(_ index: Int, _ generation: Generation) throws(Violation) {
        let buffer = world.attachments[index].buffer
        try expect(!world.attachments[index].awaitsMove, .noticeOnce, "told twice of one move")
        try expect(world.attachments[index].state == .ok, .noticeOnce, "the revoked are told of a move")
        try expect(world.buffers[buffer].mover != nil, .noticeOnce, "told of a move that is not")
        try expect(generation <= world.buffers[buffer].generation, .oneGeneration, "a move of what is to come")
        world.attachments[index].awaitsMove = true
    }

    private mutating func toldEnd(_ index: Int) throws(Violation) {
        try expect(world.attachments[index].awaitsMove, .noticeOnce, "told the end of a move and not its begin")
        world.attachments[index].awaitsMove = false
        settleMove(index)
    }

    /// Its holder is waited for no longer.
    mutating func settleMove(_ index: Int) {
        let id = world.attachments[index].id
        world.peers[world.attachments[index].peer].owed.removeAll {
            if case .invalidate(id, _, _, _) = $0 { true } else { false }
        }
    }

    private mutating func check(_ notice: Notice, _ peer: Int) throws(Violation) {
        switch notice {
        case .readyToCopy(let id, let generation, _, _):
            // It was asked late, and answers in the same step; its commit is noted already.
            if let buffer = world.buffer(id), ended.contains(buffer), world.buffers[buffer].untold == peer,
                world.buffers[buffer].generation == generation
            {
                return
            }
            guard let buffer = world.buffer(id), world.buffers[buffer].mover == peer else {
                throw Violation(.oneGeneration, "a copy is asked of someone who moves nothing")
            }
            try expect(
                generation == world.buffers[buffer].generation.next && !world.buffers[buffer].isReadyToCopy,
                .oneGeneration, "a copy is asked twice, or of the wrong generation")
            world.buffers[buffer].isReadyToCopy = true
        case .moveEnded(let id, let outcome):
            if let buffer = world.buffer(id) {
                moveEnded(buffer)
                if outcome == .aborted(.tokenEnded) {
                    try expect(world.buffers[buffer].lender != nil, .rightsHold, "a move of its own right was aborted")
                    if let lender = world.buffers[buffer].lender { lostLenders.append(lender) }
                }
            }
            guard let buffer = world.buffer(id), world.buffers[buffer].untold == peer else {
                throw Violation(.noticeOnce, "the end of a move that is not: \(notice)")
            }
            world.buffers[buffer].untold = nil
        case .lockEnded(let number):
            guard let index = world.lock(number), !world.locks[index].isOver, world.locks[index].peer == peer else {
                throw Violation(.locksExclude, "lock \(number.rawValue) ended twice")
            }
            world.locks[index].isOver = true
        case .released(let id, let generation, _):
            guard let buffer = world.buffer(id), world.buffers[buffer].released.contains(generation) else {
                throw Violation(.releasedOnce, "said to be released, and is not: \(notice)")
            }
            releases.removeAll { $0 == (buffer, generation) }
        case .quarantined(let id, _):
            guard let buffer = world.buffer(id) else { return }
            world.buffers[buffer].isSuspect = true
            world.buffers[buffer].wasSuspect = true
        default: break
        }
    }
}

extension Notice {
    /// The attachment that it is about.
    var attachment: AttachmentID? {
        switch self {
        case .invalidate(let id, _, _, _), .moving(let id, _, _), .moved(let id, _, _), .moveAborted(let id, _, _),
            .revoke(let id, _, _, _), .revoked(let id, _, _), .restored(let id, _), .attachmentEnded(let id, _),
            .ownerGone(let id, _):
            id
        default: nil
        }
    }
}
