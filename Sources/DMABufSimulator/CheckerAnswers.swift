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
        if case .refused(let refusal) = answer {
            if open.label == label { isRefused = true }
            return try check(refusal, of: open, peer)
        }
        // What was granted after a wait was checked when the wait began.
        if open.label == label { try checkRights(open.request, peer) }
        try check(answer, to: open, peer)
    }

    private mutating func check(_ answer: Answer, to open: OpenRequest, _ peer: Int) throws(Violation) {
        switch (open.request, answer) {
        case (.register(let id, let registration), .registered(let registered, let generation)):
            try expect(id == registered && generation == .first, .oneGeneration, "registered as another: \(answer)")
            world.nextInode += 1
            forgetLast(id)
            world.buffers.append(
                SeenBuffer(
                    label: nextLabel(), id: id, owner: peer, kept: registration.kept,
                    byteCount: registration.backing.byteCount, backings: [registration.backing]))
        case (.attach(let id, let terms), .attached(let attachment, let generation, let fences)):
            try attached(attachment, to: id, generation, terms, peer)
            try check(fences, attachment)
        case (.attachNamed(let name, let uid, let terms), .attached(let attachment, let generation, let fences)):
            let buffer = try led(by: name, uid, peer)
            try attached(attachment, to: buffer, generation, terms, peer)
            try check(fences, attachment)
        case (.map(let asked), .mapped(let attachment, let generation, let fences)):
            try expect(asked == attachment, .answeredOnce, "mapped another attachment")
            try mapped(attachment, generation, peer)
            try check(fences, attachment)
        case (.beginMove(let id, let generation, let terms), .moveBegun(let next, let until)):
            try moveBegun(id, generation, next, peer)
            try checkLock(terms.lock, on: id, peer)
            try expect(
                terms.lock != nil || !isQueued([id], before: label), .locksInOrder, "a move overtook a lock")
            if let buffer = world.buffer(id) {
                world.buffers[buffer].isServers = terms.copier == .server
                world.buffers[buffer].moveEnd = until
                world.buffers[buffer].lender = lender(used, to: peer, on: buffer)
            }
        case (.lock(let ids, _, _), .locked(let number, let until)): try locked(number, ids, until, open, peer)
        case (.wait(let attachment, let usage, _), .waited(let status)): try waited(attachment, usage, status, open)
        case (.snapshot(let attachment, let usage), .snapshot(let status, let ids)):
            try snapshot(attachment, usage, status, ids)
        case (.addFence(let attachment, let terms, let lock), .fenceAdded(let id)):
            try fenceAdded(id, terms, attachment, lock, peer)
        case (.endAccess(let id), .accessEnded(let state)): try accessEnded(id, state)
        case (.makeToken(let id, let buffer, let terms), .done): try made(id, buffer, terms, peer)
        case (.share(let id, let share), .done): shared(id, share)
        case (.withdrawToken(let id), .tokenWithdrawn(let tokens, let attachments)):
            let (all, revoked) = withdrawn(id)
            let dying = world.attachments.count { $0.diedAt == label }
            try expect(
                tokens == all && revoked <= attachments && attachments <= revoked + dying, .rightsHold,
                "\(tokens) tokens and \(attachments) attachments were withdrawn, not \(all) and \(revoked)")
        case (_, .done): try done(open.request, peer)
        case (.lookup, .found(let id, let generation)): try found(id, generation, peer)
        case (.inspect(let id, _), .inspected(let inspection)):
            try expect(
                world.buffer(id).map { world.buffers[$0].generation == inspection.listing.generation } ?? false,
                .oneGeneration, "inspected an old generation")
        case (.list, .listed(let listings, _)): try check(listings, peer)
        case (.revoke(let id, _), .revoked(let level)): try revoked(id, level, open)
        default: throw Violation(.answeredOnce, "\(open.request) was answered \(answer)")
        }
    }

    private mutating func done(_ request: Request, _ peer: Int) throws(Violation) {
        switch request {
        case .name, .pin, .unpin, .commitMove: break
        case .withdraw(let id):
            guard let buffer = world.buffer(id) else { return }
            try expect(!world.buffers[buffer].isWithdrawn, .livesAsKept, "withdrawn twice")
            world.buffers[buffer].isWithdrawn = true
        case .renew(let id, let lease):
            if let index = world.attachment(id) { world.attachments[index].lease = world.now + lease }
        case .abortMove(let id, _):
            guard let buffer = world.buffer(id) else { return }
            try expect(world.buffers[buffer].mover == peer, .oneGeneration, "aborted by one who does not move it")
            moveEnded(buffer)
        case .detach(let id):
            guard let index = world.attachment(id) else { return }
            world.attachments[index].isOver = true
            forgetOwed(id, world.attachments[index].peer)
        case .beginAccess(let id, let generation, let access): try accessBegun(id, generation, access)
        case .acknowledge(let id, _, _): try acknowledged(id)
        case .refuseMove(let id, _): try settle(id) { if case .invalidate = $0 { true } else { false } }
        case .acknowledgeRevoke(let id): try acknowledgedRevoke(id)
        case .restore: break  // It is REVOKED until it maps again.
        case .reserve(let id, let slots):
            try reserved(slots, id)
        case .renewFence(let id, let timeline, let within): try renewed(id, timeline, within, peer)
        case .unlock(let number):
            guard let index = world.lock(number), !world.locks[index].isOver else {
                throw Violation(.locksExclude, "lock \(number.rawValue) was over and was unlocked")
            }
            world.locks[index].isOver = true
        default: throw Violation(.answeredOnce, "\(request) was answered as done")
        }
    }

    /// An acknowledgement counts only where a question was open.
    mutating func settle(_ id: AttachmentID, _ isQuestion: (Notice) -> Bool) throws(Violation) {
        try checkAsked(id, isQuestion)
        guard let index = world.attachment(id) else { return }
        world.peers[world.attachments[index].peer].owed.removeAll { $0.attachment == id && isQuestion($0) }
    }

    func checkAsked(_ id: AttachmentID, _ isQuestion: (Notice) -> Bool) throws(Violation) {
        guard let index = world.attachment(id) else { return }
        try expect(
            world.peers[world.attachments[index].peer].owed.contains { $0.attachment == id && isQuestion($0) },
            .noticeOnce, "an answer to a question that nobody asked")
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
        case .noSuchBuffer, .notMoving, .notTheMover: try checkMayEnd(open.request, peer, refusal)
        case .forbidden:
            try checkMayEnd(open.request, peer, refusal)
            try checkKnows(open.request, peer)
        case .overQuota(let excess): try check(excess, of: open)
        case .timedOut(let fences): try timedOut(fences, open)
        case .notInAccess: if case .endAccess(let id) = open.request { try notInAccess(id) }
        default: break
        }
    }

    /// Who moves a buffer may abort that at any time, and commit it when it has been asked to copy.
    private func checkMayEnd(_ request: Request, _ peer: Int, _ refusal: Refusal) throws(Violation) {
        guard let index = buffer(of: request), world.buffers[index].mover == peer else { return }
        switch request {
        case .abortMove: break
        case .commitMove: if !world.buffers[index].isReadyToCopy || world.buffers[index].isServers { return }
        default: return
        }
        throw Violation(.oneGeneration, "the mover could not end its move: \(refusal)")
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
