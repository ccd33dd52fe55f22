// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Checker {
    mutating func check(_ answer: Answer, _ number: RequestNumber, to client: ClientID) throws(Violation) {
        guard let peer = world.peer(client), world.peers[peer].isAlive else {
            throw Violation(.deadHearNothing, "an answer to client \(client.rawValue), which is gone: \(answer)")
        }
        guard let index = world.peers[peer].open.firstIndex(where: { $0.number == number }) else {
            throw Violation(.answeredOnce, "nobody waits for answer \(number.rawValue): \(answer)")
        }
        let open = world.peers[peer].open.remove(at: index)
        answered.append(open)
        if case .refused(let refusal) = answer { return try check(refusal, of: open, peer) }
        try check(answer, to: open, peer)
    }

    private mutating func check(_ answer: Answer, to open: OpenRequest, _ peer: Int) throws(Violation) {
        switch (open.request, answer) {
        case (.register(let id, let registration), .registered(let registered, let generation)):
            try expect(id == registered && generation == .first, .oneGeneration, "registered as another: \(answer)")
            world.nextInode += 1
            world.buffers.append(
                SeenBuffer(
                    label: nextLabel(), id: id, owner: peer, kept: registration.kept,
                    byteCount: registration.backing.byteCount))
        case (.attach(let id, let terms), .attached(let attachment, let generation, _)):
            try checkRights(id, terms, peer)
            try attached(attachment, to: id, generation, peer)
        case (.attachNamed(let name, let uid, let terms), .attached(let attachment, let generation, _)):
            try attachedNamed(name, uid, terms, attachment, generation, peer)
        case (.map(let asked), .mapped(let attachment, let generation, _)):
            try expect(asked == attachment, .answeredOnce, "mapped another attachment")
            try mapped(attachment, generation, peer)
        case (.beginMove(let id, let generation, _), .moveBegun(let next, _)): try moveBegun(id, generation, next, peer)
        case (.lock(let ids, _, _), .locked(let number, let until)): try locked(number, ids, until, open, peer)
        case (.wait(let attachment, let usage, _), .waited(let status)): try waited(attachment, usage, status, open)
        case (.snapshot(let attachment, let usage), .snapshot(let status, let ids)):
            try snapshot(attachment, usage, status, ids)
        case (.addFence(let attachment, let terms, _), .fenceAdded(let id)):
            try fenceAdded(id, terms, attachment, peer)
        case (.endAccess(let id), .accessEnded(let state)):
            // The end of an access that was cut off was counted when it was.
            if state == .ok { noteAccess(id, -1) }
        case (.makeToken(let id, let buffer, let terms), .done):
            world.tokens.append(
                SeenToken(
                    label: nextLabel(), id: id, buffer: buffer, peer: peer, rights: terms.rights, parent: terms.parent,
                    uses: terms.uses))
            try checkToken(id, terms)
        case (.share(let id, let share), .done): shared(id, share)
        case (.withdrawToken(let id), .tokenWithdrawn): withdrawn(id)
        case (_, .done): try done(open.request)
        case (.lookup, .found(let id, let generation)):
            try expect(
                world.buffer(id).map { world.buffers[$0].generation == generation } ?? false, .oneGeneration,
                "a name led to an old generation")
        case (.inspect(let id, _), .inspected(let inspection)):
            try expect(
                world.buffer(id).map { world.buffers[$0].generation == inspection.listing.generation } ?? false,
                .oneGeneration, "inspected an old generation")
        case (.list, .listed(let listings, _)): try check(listings, peer)
        case (.revoke, .revoked): break
        default: throw Violation(.answeredOnce, "\(open.request) was answered \(answer)")
        }
    }

    private mutating func done(_ request: Request) throws(Violation) {
        switch request {
        case .withdraw, .name, .pin, .unpin, .renew, .commitMove: break
        case .abortMove(let id, _): if let buffer = world.buffer(id) { moveEnded(buffer) }
        case .detach(let id):
            guard let index = world.attachment(id) else { return }
            world.attachments[index].isOver = true
            forgetOwed(id, world.attachments[index].peer)
        case .beginAccess(let id, _, _): noteAccess(id, +1)
        case .acknowledge(let id, _, _), .refuseMove(let id, _):
            if case .acknowledge = request, let index = world.attachment(id) { world.attachments[index].accesses = 0 }
            try settle(id) { if case .invalidate = $0 { true } else { false } }
        case .acknowledgeRevoke(let id): try acknowledgedRevoke(id)
        case .restore: break  // It is REVOKED until it maps again.
        case .reserve(let id, let slots):
            if let index = world.attachment(id) { world.attachments[index].reserved += Int(slots) }
        case .unlock(let number):
            guard let index = world.lock(number), !world.locks[index].isOver else {
                throw Violation(.locksExclude, "lock \(number.rawValue) was over and was unlocked")
            }
            world.locks[index].isOver = true
        default: throw Violation(.answeredOnce, "\(request) was answered as done")
        }
    }

    private mutating func noteAccess(_ id: AttachmentID, _ change: Int) {
        guard let index = world.attachment(id) else { return }
        world.attachments[index].accesses = max(0, world.attachments[index].accesses + change)
    }

    /// An acknowledgement counts only where a question was open.
    private mutating func settle(_ id: AttachmentID, _ isQuestion: (Notice) -> Bool) throws(Violation) {
        guard let index = world.attachment(id) else { return }
        let peer = world.attachments[index].peer
        let before = world.peers[peer].owed.count
        world.peers[peer].owed.removeAll { $0.attachment == id && isQuestion($0) }
        try expect(world.peers[peer].owed.count < before, .noticeOnce, "an answer to a question that nobody asked")
    }

    private mutating func acknowledgedRevoke(_ id: AttachmentID) throws(Violation) {
        guard let index = world.attachment(id) else { return }
        let isFinal = world.peers[world.attachments[index].peer].owed.contains {
            if case .revoke(id, _, isFinal: true, _) = $0 { true } else { false }
        }
        try settle(id) { if case .revoke = $0 { true } else { false } }
        world.attachments[index].state = isFinal ? .dead : .revoked
        world.attachments[index].accesses = 0
        world.attachments[index].counted = 0
        settleMove(index)
    }

    mutating func forgetOwed(_ id: AttachmentID, _ peer: Int) {
        world.peers[peer].owed.removeAll { $0.attachment == id }
    }

    private mutating func moveBegun(_ id: BufferID, _ from: Generation, _ next: Generation, _ peer: Int)
        throws(Violation)
    {
        guard let buffer = world.buffer(id) else { throw Violation(.oneGeneration, "a move of nothing") }
        let seen = world.buffers[buffer]
        try expect(seen.mover == nil && !seen.isEnded, .oneGeneration, "a second move of one buffer")
        // The commit may be in this same step, and is noted already.
        try expect(
            from.next == next && (seen.generation == from || seen.generation == next), .oneGeneration,
            "a move from an old generation")
        let holds = world.locks.contains { !$0.isOver && $0.peer != peer && $0.buffers.contains(id) }
        try expect(!holds, .locksExclude, "a move of a buffer that another client has locked")
        world.buffers[buffer].mover = peer
        begun = buffer
    }

    private func check(_ refusal: Refusal, of open: OpenRequest, _ peer: Int) throws(Violation) {
        switch refusal {
        case .stale(let current):
            // Who has not mapped since a move is stale too, whatever generation it names.
            guard let buffer = buffer(of: open.request) else { return }
            try expect(
                world.buffers[buffer].generation == current, .oneGeneration, "an old generation is called current")
        case .overQuota(let excess): try check(excess, of: open)
        case .timedOut(let fences):
            try expect(!fences.isEmpty, .waitsAreTrue, "a wait timed out for nothing")
            // What was due is done before a signal that comes late.
            for id in fences where !act.ends(id) {
                guard let fence = world.fence(id), !world.fences[fence].hasEnded else {
                    throw Violation(.waitsAreTrue, "a wait timed out for fence \(id.rawValue), which had ended")
                }
            }
        default: break
        }
    }

    /// The rule of fair shares with the figures that the refusal itself gives.
    private func check(_ excess: QuotaExcess, of open: OpenRequest) throws(Violation) {
        try expect(excess.users > 0, .fairShares, "a limit without a user")
        guard case .register(_, let registration) = open.request, excess.resource == .bytes else { return }
        let needed = (excess.share + registration.backing.byteCount) * (excess.users + 1) - excess.share
        try expect(needed > excess.remaining, .fairShares, "refused what is in its share: \(excess)")
    }

    private func buffer(of request: Request) -> Int? {
        switch request {
        case .beginMove(let id, _, _), .commitMove(let id, _, _, _), .abortMove(let id, _): world.buffer(id)
        case .beginAccess(let id, _, _), .acknowledge(let id, _, _), .refuseMove(let id, _):
            world.attachment(id).map { world.attachments[$0].buffer }
        default: nil
        }
    }
}
