// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufScenario
import TestSupport
import Testing

/// Clients that lock, hold and unlock for ever, each time another set of buffers, and how long each has to wait.
struct LockContest {
    private struct Waiting {
        var ids: [BufferID]
        /// Locks of one of its buffers that were granted meanwhile.
        var grants = 0
    }

    private(set) var longest = 0
    private(set) var turns: [ClientID: Int] = [:]
    private var story = Story()
    private var random: SplitMix64
    private var clients: [ClientID] = []
    private var buffers: [BufferID] = []
    private var waiting: [ClientID: Waiting] = [:]
    private var held: [ClientID: LockNumber] = [:]

    init(clients count: Int, buffers: Int, seed: UInt64) throws {
        random = SplitMix64(seed: seed)
        for _ in 0..<count { clients.append(try story.connect()) }
        for number in 1...buffers { self.buffers.append(story.register(UInt64(number), by: clients[0])) }
    }

    /// Someone asks who has no lock, or lets go of the one it has. Whoever waits, waits for someone who holds.
    mutating func step() {
        let client = clients[Int.random(in: clients.indices, using: &random)]
        if let number = held.removeValue(forKey: client) {
            follow(story.effects(of: .unlock(number), by: client))
        } else if waiting[client] == nil {
            let count = Int.random(in: 1...min(4, buffers.count), using: &random)
            let ids = Array(buffers.shuffled(using: &random).prefix(count))
            waiting[client] = Waiting(ids: ids)
            follow(story.effects(of: .lock(ids, within: .seconds(9), lasting: .seconds(9)), by: client))
        }
        #expect(waiting.isEmpty || !held.isEmpty, "deadlock")
    }

    private mutating func follow(_ effects: [Effect]) {
        for case .answer(let client, _, .locked(let number, _)) in effects {
            guard let own = waiting.removeValue(forKey: client) else { continue }
            held[client] = number
            turns[client, default: 0] += 1
            longest = max(longest, own.grants)
            for other in clients where waiting[other]?.ids.contains(where: own.ids.contains) == true {
                waiting[other]?.grants += 1
            }
        }
    }
}

@Suite("Lock fairness")
struct LockFairnessTests {
    @Test(
        "locks: nobody waits for more grants than there are other clients",
        arguments: [(2, 2), (3, 3), (5, 4), (8, 3), (8, 16), (24, 6)])
    func bounded(clients: Int, buffers: Int) throws {
        for seed in 1...3 as ClosedRange<UInt64> {
            var contest = try LockContest(clients: clients, buffers: buffers, seed: seed)
            for _ in 0..<3000 { contest.step() }
            #expect(contest.longest <= clients - 1, "\(clients) clients, \(buffers) buffers, seed \(seed)")
            let (least, most) = (contest.turns.values.min() ?? 0, contest.turns.values.max() ?? 0)
            // They act at random, so not all act alike; none starves.
            #expect(contest.turns.count == clients && least * 3 > most, "\(contest.turns)")
        }
    }
}
