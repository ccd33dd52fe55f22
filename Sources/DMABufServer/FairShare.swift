// SPDX-License-Identifier: Apache-2.0

/// Something of which there is only so much, between uids, by the rule of the registry's quotas: one alone gets half, and
/// however greedy the others are, the next one gets its share.
struct FairShare {
    let limit: Int
    private var used = 0
    private var shares: [UInt32: Int] = [:]

    init(limit: Int) { self.limit = limit }

    func hasRoom(for user: UInt32) -> Bool {
        let share = shares[user, default: 0]
        let users = shares.count + (share == 0 ? 1 : 0)
        return (share + 1) * (users + 1) - share <= limit - used
    }

    mutating func take(for user: UInt32) {
        used += 1
        shares[user, default: 0] += 1
    }

    mutating func giveBack(of user: UInt32) {
        used -= 1
        shares[user, default: 1] -= 1
        if shares[user] == 0 { shares[user] = nil }
    }
}
