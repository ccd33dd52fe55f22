// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Fair shares, with figures taken from outside.
extension Checker {
    /// Nothing was granted that was over the share of its uid.
    func checkShares(_ registry: Registry) throws(Violation) {
        guard case .request(let peer, let number, let request) = act, world.peers[peer].isAlive,
            answered.contains(where: { $0.number == number }), !isRefused
        else { return }
        let uid = world.peers[peer].identity.uid
        for (resource, amount) in charges(of: request) {
            let share = registry.ledger(of: uid)[resource]
            let used = registry.ledger[resource]
            guard share >= amount, used >= amount else {
                throw Violation(.ledgersBalance, "\(resource) was not charged to uid \(uid)")
            }
            let users = UInt64(Self.uids.count { isKnown($0, registry) })
            let limit = limits[resource]
            let left = limit - min(limit, used - amount)
            try expect(
                share * (users + 1) - (share - amount) <= left, .fairShares,
                "\(amount) \(resource) were granted to uid \(uid), which had \(share - amount) and \(left) were left")
        }
    }

    private func isKnown(_ uid: UInt32, _ registry: Registry) -> Bool {
        world.peers.contains { $0.isAlive && $0.identity.uid == uid } || !registry.ledger(of: uid).isZero
    }

    private func charges(of request: Request) -> [(Resource, UInt64)] {
        switch request {
        case .register(_, let registration):
            [
                (.buffers, 1), (.bytes, registration.backing.byteCount),
                (.descriptors, UInt64(registration.backing.descriptorCount)),
            ]
        case .attach, .attachNamed: [(.attachments, 1)]
        default: []
        }
    }
}
