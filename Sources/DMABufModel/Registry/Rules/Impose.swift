// SPDX-License-Identifier: Apache-2.0

// Rule: conditions.
//
// Whoever runs the registry may lay a ceiling on what a uid is charged, however much is left for others, and say what
// happens to its clients when they do not let go. Both hold from now on: what is granted already stays, and is counted.

extension Registry {
    public mutating func impose(_ conditions: Conditions, on client: ClientID) {
        guard let slot = clientSlots[client] else { return }
        users[clients[slot].user].ceilings = conditions.ceilings
        clients[slot].ladder = conditions.ladder
    }

    /// Throws if the charge goes over the ceiling of its uid, if that has one.
    func checkCeiling(_ resource: Resource, _ amount: UInt64, of user: Slot) throws(Refusal) {
        guard let ceiling = users[user].ceilings[resource] else { return }
        let share = users[user].ledger[resource]
        let (sum, tooLarge) = share.addingReportingOverflow(amount)
        guard tooLarge || sum > ceiling.limit else { return }
        throw .overCeiling(
            CeilingExcess(resource: resource, line: ceiling.line, limit: ceiling.limit, share: share))
    }

    /// How long the holder has at the end of its lease or of its token.
    func grace(of client: Slot) -> Interval { clients[client].ladder?.grace ?? limits.leaseGrace }

    /// Whether a holder that did not let go is cut off, where the revocation itself `wants` it or not.
    func isCutOff(_ client: Slot, wanted: Bool) -> Bool {
        clients[client].ladder.map { $0.last != .told } ?? wanted
    }

    /// Whether the process behind a client that is cut off for this reason is killed.
    func isKilled(_ client: Slot, _ reason: CutOffReason) -> Bool {
        reason != .slowReader && clients[client].ladder?.last == .killed
    }

    /// Whose the buffer is that a request is about, as far as its asker may know that there is one; what a policy that
    /// tells own buffers from others' looks at. nil where the rules will refuse anyway, or nothing is asked of a buffer.
    public func owner(concerning request: Request, from client: ClientID) -> UInt32? {
        guard let slot = clientSlots[client] else { return nil }
        let asker = Asker(client: slot, number: RequestNumber(0))
        switch request {
        case .attach(let id, let terms): return owner(of: id, terms.token, asker)
        case .attachNamed(_, let uid, _): return uid ?? clients[slot].identity.uid
        case .inspect(let id, let token): return owner(of: id, token, asker)
        case .beginMove(let id, _, let terms): return owner(of: id, terms.token, asker)
        case .revoke(let id, let terms): return owner(of: id, terms.token, asker)
        case .makeToken(_, let id, let terms): return owner(of: id, terms.parent, asker)
        case .pin(let id), .renew(let id, _), .reserve(let id, _), .addFence(let id, _, _), .renewFence(let id, _, _):
            return (try? findAttachment(id, asker)).map { users[buffers[attachments[$0].buffer].user].uid }
        case .restore(let id):
            guard let attachment = attachmentSlots[id] else { return nil }
            return owner(of: buffers[attachments[attachment].buffer].id, nil, asker)
        default: return nil
        }
    }

    private func owner(of id: BufferID, _ token: TokenID?, _ asker: Asker) -> UInt32? {
        (try? findBuffer(id, needing: [], showing: token, asker)).map { users[buffers[$0.buffer].user].uid }
    }
}
