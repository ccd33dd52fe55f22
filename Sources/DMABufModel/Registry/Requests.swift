// SPDX-License-Identifier: Apache-2.0

/// Which rule decides which request.
extension Registry {
    /// The answer, now; nil if it comes when a wait ends.
    mutating func decide(_ request: Request, _ asker: Asker) throws(Refusal) -> Answer? {
        switch request {
        case .attach(let id, let terms): return try attach(id, terms, asker)
        case .attachNamed(let name, let uid, let terms):
            return try attach(buffers[find(name, uid, asker)].id, terms, asker)
        case .detach(let id): return try detach(id, asker)
        case .map(let id): return try map(id, asker)
        case .beginAccess(let id, let generation, let access): return try beginAccess(id, generation, access, asker)
        case .endAccess(let id): return try endAccess(id, asker)
        case .reserve(let id, let slots): return try reserve(id, slots, asker)
        case .addFence(let id, let terms, let lock): return try addFence(id, terms, lock, asker)
        case .renewFence(let id, let timeline, let within): return try renewFence(id, timeline, within, asker)
        case .snapshot(let id, let usage): return try snapshot(id, usage, asker)
        case .wait(let id, let usage, let interval): return try wait(id, usage, interval, asker)
        case .lock(let ids, let within, let lasting): return try lock(ids, within, lasting, asker)
        case .unlock(let number): return try unlock(number, asker)
        case .lookup(let name, let uid): return try lookup(name, uid, asker)
        default: return try decideRarer(request, asker)
        }
    }

    private mutating func decideRarer(_ request: Request, _ asker: Asker) throws(Refusal) -> Answer? {
        switch request {
        case .register(let id, let registration): return try register(id, registration, asker)
        case .withdraw(let id): return try withdraw(id, asker)
        case .name(let id, let name): return try self.name(id, name, asker)
        case .share(let id, let share): return try self.share(id, share, asker)
        case .makeToken(let token, let id, let terms): return try makeToken(token, id, terms, asker)
        case .withdrawToken(let token): return try withdrawToken(token, asker)
        case .inspect(let id, let token): return try inspect(id, token, asker)
        case .list(let cursor): return list(from: cursor, asker)
        case .pin(let id): return try pin(id, asker)
        case .unpin(let id): return try unpin(id, asker)
        case .renew(let id, let lease): return try renew(id, lease, asker)
        case .beginMove(let id, let generation, let terms): return try beginMove(id, generation, terms, asker)
        case .acknowledge(let id, let generation, let fence): return try acknowledge(id, generation, fence, asker)
        case .refuseMove(let id, let generation): return try refuseMove(id, generation, asker)
        case .commitMove(let id, let generation, let backing, let fence):
            return try commitMove(id, generation, backing, fence, asker)
        case .abortMove(let id, let generation): return try abortMove(id, generation, asker)
        case .revoke(let id, let terms): return try revoke(id, terms, asker)
        case .acknowledgeRevoke(let id): return try acknowledgeRevoke(id, asker)
        case .restore(let id): return try restore(id, asker)
        default: return .refused(.malformed)
        }
    }
}
