// SPDX-License-Identifier: Apache-2.0

/// What a step can be about.
enum Choice: Int, CaseIterable, Sendable {
    case connect, die
    case register, withdraw
    case name, share, lookup, makeToken, withdrawToken, inspect, list
    case attach, attachNamed, map, detach, pin, unpin, renew, beginAccess, endAccess
    case beginMove, acknowledge, refuseMove, commitMove, abortMove
    case revoke, acknowledgeRevoke, restore
    case reserve, addFence, renewFence, snapshot, wait
    case lock, unlock
    case look, copy, fenceEnd, deliver, late, pass
    case accesses

    /// How often it comes, before a run bends it.
    var weight: Int {
        switch self {
        case .attach, .beginAccess, .acknowledge, .deliver, .look: 28
        case .addFence, .beginMove, .lock, .reserve, .wait, .accesses: 18
        case .commitMove, .endAccess, .fenceEnd, .unlock, .copy, .pass, .map: 12
        case .register, .revoke, .acknowledgeRevoke, .detach, .makeToken: 8
        case .pin, .unpin, .renewFence, .snapshot, .restore, .renew, .lookup, .attachNamed, .name, .share, .late: 5
        case .die, .connect, .withdraw, .inspect, .list, .withdrawToken: 4
        case .abortMove, .refuseMove: 4
        }
    }
}

/// A run's own weights: some choices come far more often, some never. So runs differ, and rare states are lived in.
struct Weights: Sendable {
    private var sums: [Int] = []

    init(_ random: inout RandomWords) {
        var sum = 0
        let isCalm = random.oneIn(2)
        for choice in Choice.allCases {
            sum += choice.weight * (isCalm ? Self.calm(choice, &random) : Self.bend(choice, &random))
            sums.append(sum)
        }
    }

    /// Few come and go, so that those who are there get far with each other.
    private static func calm(_ choice: Choice, _ random: inout RandomWords) -> Int {
        switch choice {
        case .connect, .register: random.below(2)
        case .die, .withdraw: random.oneIn(3) ? 1 : 0
        default: bend(choice, &random)
        }
    }

    /// Without these a run stands still.
    private static func bend(_ choice: Choice, _ random: inout RandomWords) -> Int {
        switch choice {
        case .connect, .register, .attach, .pass: 2 + random.below(3)
        default: [0, 1, 2, 2, 3, 6][random.below(6)]
        }
    }

    func choice(_ random: inout RandomWords) -> Choice {
        let height = random.below(sums[sums.count - 1])
        var (low, high) = (0, sums.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if sums[middle] > height { high = middle } else { low = middle + 1 }
        }
        return Choice.allCases[low]
    }
}
