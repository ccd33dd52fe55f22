// SPDX-License-Identifier: Apache-2.0

import DMABufModel

// Numbers of 64 bits and more would hardly ever be met by chance. One that is known stays; another stands for a known
// one, and at times for itself. Lengths of time stay near the limits, unless they have their highest bit.

extension World {
    func known<Number: Equatable & Numbered>(_ number: Number, in list: [Number]) -> Number {
        if list.contains(number) { return number }
        let index = Int(number.rawValue % UInt64(list.count + 1))
        return index < list.count ? list[index] : number
    }

    func likely(_ id: BufferID) -> BufferID {
        BufferID(high: 0, low: (id.low &- 1) % UInt64(Self.numberCount) + 1)
    }

    private func likely(_ id: TokenID) -> TokenID {
        TokenID(high: 0, low: (id.low &- 1) % UInt64(Self.numberCount) + 1)
    }

    private func likely(_ id: AttachmentID) -> AttachmentID {
        guard !attachments.contains(where: { $0.id == id }) else { return id }
        let index = Int(id.rawValue % UInt64(attachments.count + 1))
        return index < attachments.count ? attachments[index].id : id
    }

    private func likely(_ number: LockNumber) -> LockNumber {
        guard !locks.contains(where: { $0.number == number }) else { return number }
        let index = Int(number.rawValue % UInt64(locks.count + 1))
        return index < locks.count ? locks[index].number : number
    }

    func likely(_ generation: Generation) -> Generation { Generation(generation.rawValue % 8) }

    private func likely(_ interval: Interval) -> Interval {
        let limit: UInt64 = 12_000_000_000
        if interval.nanoseconds >> 63 != 0 { return interval }
        return Interval(nanoseconds: interval.nanoseconds % limit)
    }

    private func likely(uid: UInt32) -> UInt32 {
        let uids = Self.identities.map(\.uid)
        return uids.contains(uid) || uid % 8 == 7 ? uid : uids[Int(uid % 3)]
    }

    private func likely(_ share: Share) -> Share {
        switch share.audience {
        case .user(let uid): Share(.user(likely(uid: uid)), share.rights)
        case .group(let gid): Share(.group(gid % 8 == 7 ? gid : 44), share.rights)
        case .everyone: share
        }
    }

    private func likely(_ terms: AttachTerms) -> AttachTerms {
        AttachTerms(terms.access, terms.mobility, lease: terms.lease.map(likely), token: terms.token)
    }

    private func likely(_ terms: MoveTerms) -> MoveTerms {
        MoveTerms(
            within: likely(terms.within), late: terms.late, copier: terms.copier, token: terms.token,
            lock: terms.lock.map(likely), placement: terms.placement)
    }

    private func likely(_ terms: RevokeTerms) -> RevokeTerms {
        var target = terms.target
        if case .attachment(let id) = target { target = .attachment(likely(id)) }
        return RevokeTerms(
            target, within: likely(terms.within), isFinal: terms.isFinal, cutsOff: terms.cutsOff,
            token: terms.token)
    }

    func likely(_ terms: FenceTerms) -> FenceTerms {
        FenceTerms(
            timeline: terms.timeline % 4, point: terms.point, usage: terms.usage, kind: terms.kind,
            within: likely(terms.within))
    }

    private func likely(_ terms: TokenTerms) -> TokenTerms {
        TokenTerms(terms.rights, uses: terms.uses, lasts: terms.lasts.map(likely), parent: terms.parent)
    }
}

extension World {
    func likely(_ request: Request) -> Request {
        switch request.mappingTokens({ likely($0) }) {
        case .withdraw(let id): .withdraw(likely(id))
        case .name(let id, let name): .name(likely(id), name)
        case .share(let id, let share): .share(likely(id), likely(share))
        case .lookup(let name, let uid): .lookup(name, uid: uid.map { likely(uid: $0) })
        case .makeToken(let token, let id, let terms): .makeToken(token, likely(id), likely(terms))
        case .inspect(let id, let token): .inspect(likely(id), token: token)
        case .list(let cursor): .list(from: cursor)
        case .withdrawToken(let token): .withdrawToken(token)
        case .attach(let id, let terms): .attach(likely(id), likely(terms))
        case .attachNamed(let name, let uid, let terms):
            .attachNamed(name, uid: uid.map { likely(uid: $0) }, likely(terms))
        case .beginMove(let id, let generation, let terms): .beginMove(likely(id), likely(generation), likely(terms))
        case .abortMove(let id, let generation): .abortMove(likely(id), likely(generation))
        case .revoke(let id, let terms): .revoke(likely(id), likely(terms))
        case .lock(let ids, let within, let lasting):
            .lock(ids.map { likely($0) }, within: likely(within), lasting: likely(lasting))
        case .unlock(let number): .unlock(likely(number))
        default: likelyOfAttachment(request)
        }
    }

    private func likelyOfAttachment(_ request: Request) -> Request {
        switch request {
        case .map(let id): .map(likely(id))
        case .detach(let id): .detach(likely(id))
        case .pin(let id): .pin(likely(id))
        case .unpin(let id): .unpin(likely(id))
        case .renew(let id, let lease): .renew(likely(id), lease: likely(lease))
        case .beginAccess(let id, let generation, let access): .beginAccess(likely(id), likely(generation), access)
        case .endAccess(let id): .endAccess(likely(id))
        case .acknowledge(let id, let generation, let fence):
            .acknowledge(likely(id), likely(generation), ending: fence.map(likely))
        case .refuseMove(let id, let generation): .refuseMove(likely(id), likely(generation))
        case .acknowledgeRevoke(let id): .acknowledgeRevoke(likely(id))
        case .restore(let id): .restore(likely(id))
        case .reserve(let id, let slots): .reserve(likely(id), slots: slots >> 31 != 0 ? slots : slots % 10)
        case .addFence(let id, let terms, let lock): .addFence(likely(id), likely(terms), lock: lock.map(likely))
        case .renewFence(let id, let timeline, let within):
            .renewFence(likely(id), timeline: timeline % 4, within: likely(within))
        case .snapshot(let id, let usage): .snapshot(likely(id), usage)
        case .wait(let id, let usage, let within): .wait(likely(id), usage, within: likely(within))
        default: fail("a request that no message has: \(request)")
        }
    }

    /// The client whom the request is up to: the holder, the owner, the mover, who has the lock.
    func rightPlace(for request: Request) -> Int? {
        switch request {
        case .map(let id), .detach(let id), .pin(let id), .unpin(let id), .renew(let id, _), .beginAccess(let id, _, _),
            .endAccess(let id), .acknowledge(let id, _, _), .refuseMove(let id, _), .acknowledgeRevoke(let id),
            .reserve(let id, _), .addFence(let id, _, _), .renewFence(let id, _, _), .snapshot(let id, _),
            .wait(let id, _, _):
            attachments.last { $0.id == id }?.place
        case .withdraw(let id), .name(let id, _), .share(let id, _), .makeToken(_, let id, _), .beginMove(let id, _, _),
            .revoke(let id, _):
            identities.indices.first { identities[$0] == owners[id] && clients[$0] != ClientID(0) }
        case .abortMove(let id, _): movers[id]
        case .unlock(let number): locks.last { $0.number == number }?.place
        default: nil
        }
    }
}

/// A number with a type of its own.
protocol Numbered {
    var rawValue: UInt64 { get }
}

extension FenceID: Numbered {}
