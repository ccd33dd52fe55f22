// SPDX-License-Identifier: Apache-2.0

// Rule: fair shares.
//
// Every uid has a ledger. A charge is granted iff (share + charge) × (users + 1) − share ≤ remaining, dbus-broker's rule
// (`user_charge`): one uid alone gets half of a limit, and however greedy n uids are, the next one still gets its share.
// Charges that follow from what others do (memory that a holder keeps from being freed, notices) are made without
// asking; they count against what the uid asks for next. A charge is returned to the ledger that it was taken from, and
// every ledger is zero when its uid has gone.

extension Registry {
    /// Throws unless `user` may be charged `amount` more.
    func check(_ resource: Resource, _ amount: UInt64, of user: Slot) throws(Refusal) {
        try checkCeiling(resource, amount, of: user)
        if let excess = excess(resource, amount, of: user) { throw .overQuota(excess) }
    }

    /// Throws unless a buffer of so many bytes may be registered: asked before it is made.
    public func checkRoom(for byteCount: UInt64, by client: ClientID) throws(Refusal) {
        guard let slot = clientSlots[client] else { return }
        let user = clients[slot].user
        try check(.buffers, 1, of: user)
        try check(.bytes, byteCount, of: user)
        try check(.descriptors, 1, of: user)
    }

    mutating func charge(_ resource: Resource, _ amount: UInt64, to user: Slot) {
        users[user].ledger[resource] += amount
        used[resource] += amount
    }

    mutating func uncharge(_ resource: Resource, _ amount: UInt64, from user: Slot) {
        users[user].ledger[resource] -= amount
        used[resource] -= amount
        forgetUser(user)
    }

    func mayCharge(_ resource: Resource, _ amount: UInt64, to user: Slot) -> Bool {
        let limit = limits[resource]
        let remaining = limit > used[resource] ? limit - used[resource] : 0
        let share = users[user].ledger[resource]
        let (sum, tooLarge) = share.addingReportingOverflow(amount)
        let (product, overflow) = sum.multipliedReportingOverflow(by: UInt64(users.count) + 1)
        return !tooLarge && !overflow && product - share <= remaining
    }

    private func excess(_ resource: Resource, _ amount: UInt64, of user: Slot) -> QuotaExcess? {
        if mayCharge(resource, amount, to: user) { return nil }
        let limit = limits[resource]
        let largest = users.slots.max { users[$0].ledger[resource] < users[$1].ledger[resource] } ?? user
        return QuotaExcess(
            resource: resource, limit: limit, share: users[user].ledger[resource],
            remaining: limit - min(limit, used[resource]), users: UInt64(users.count), largest: users[largest].uid)
    }

    mutating func findUser(_ uid: UInt32) -> Slot {
        if let slot = userSlots[uid] { return slot }
        let slot = users.insert(User(uid: uid))
        userSlots[uid] = slot
        return slot
    }

    /// A uid is forgotten when it has no client and owes nothing.
    mutating func forgetUser(_ slot: Slot) {
        guard users[slot].clients == 0, users[slot].ledger.isZero else { return }
        userSlots[users[slot].uid] = nil
        users.remove(slot)
    }

    /// Who is charged for a buffer.
    public func user(of buffer: BufferID) -> UInt32? { bufferSlots[buffer].map { users[buffers[$0].user].uid } }

    /// The size of its memory, whatever has become of that.
    public func byteCount(of buffer: BufferID) -> UInt64? { bufferSlots[buffer].map { buffers[$0].backing.byteCount } }

    /// What a uid is charged with, all zero once it is gone.
    public func ledger(of uid: UInt32) -> Ledger {
        userSlots[uid].map { users[$0].ledger } ?? Ledger()
    }

    /// The sum over all uids: zero at teardown.
    public var ledger: Ledger { used }
}

// Rule: slow readers.
//
// A notice is charged to its reader until it has left the reader's queue. Nothing is dropped: a client over its bound,
// or over its uid's share, is cut off at the end of the step, alone.

extension Registry {
    mutating func notify(_ client: Slot, _ notice: Notice) {
        guard isAlive(client), clients[client].absence == nil else { return }
        let user = clients[client].user
        if clients[client].unread >= limits.noticesPerClient || !mayCharge(.notices, 1, to: user) {
            return doom(client, .slowReader)
        }
        clients[client].unread += 1
        charge(.notices, 1, to: user)
        effects.append(.notify(clients[client].id, notice))
    }

    mutating func delivered(_ client: ClientID, _ notices: UInt32) {
        guard let slot = clientSlots[client] else { return }
        let count = min(notices, clients[slot].unread)
        clients[slot].unread -= count
        uncharge(.notices, UInt64(count), from: clients[slot].user)
    }

    /// Neither dead nor about to be cut off: whoever is gets no word more.
    func isAlive(_ client: Slot) -> Bool { !clients[client].isDead && !clients[client].isDoomed }

    /// Cut off at the end of the step, so that no rule loses a client under its feet.
    mutating func doom(_ client: Slot, _ farewell: CutOffReason) {
        guard isAlive(client) else { return }
        clients[client].isDoomed = true
        doomed.append((clients[client].id, farewell))
    }

    /// The server is told right before the death, and so after all that the step still did in the client's name. A death
    /// tells others, which may doom them in turn; each client dies once, so this ends.
    mutating func cutOffDoomed() {
        while let (client, farewell) = doomed.popLast() {
            guard let slot = clientSlots[client] else { continue }
            if isKilled(slot, farewell) { effects.append(.kill(client)) }
            effects.append(.disconnect(client, farewell))
            die(slot)
        }
    }
}
