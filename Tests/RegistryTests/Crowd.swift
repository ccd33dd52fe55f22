// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// Clients in threads of their own that ask again and again while their registry is taken away. Each knows what it was
/// answered and what was never sent, so that nothing can be lost or done twice without its telling.
struct Crowd: ~Copyable {
    /// What has come of it.
    final class Tally: Sendable {
        let isOver = Atomic(false)
        let latencies = Mutex<[UInt64]>([])
        /// The longest since it was asked for.
        private let longest = Mutex<UInt64>(0)
        let problems = Mutex<[String]>([])
        /// What was answered and still is, and what was not sent or refused to be taken.
        let there = Mutex<[String: BufferID]>([:])
        let never = Mutex<Set<String>>([])
        let turns = Mutex<[Int: Int]>([:])

        func note(_ problem: String) { problems.withLock { $0.append(problem) } }

        @discardableResult
        func timed<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
            let begin = Deadline.now().nanoseconds
            let result = try body()
            let nanoseconds = Deadline.now().nanoseconds - begin
            latencies.withLock { $0.append(nanoseconds) }
            longest.withLock { $0 = max($0, nanoseconds) }
            return result
        }

        /// The longest wait that has ended since this was asked last.
        func takeLongest() -> Duration {
            .nanoseconds(
                longest.withLock { longest in
                    defer { longest = 0 }
                    return longest
                })
        }

        func endTurn(of number: Int) { turns.withLock { $0[number, default: 0] += 1 } }

        func report(_ occasion: String) {
            let sorted = latencies.withLock { $0 }.sorted()
            #expect(!sorted.isEmpty)
            guard let last = sorted.last else { return }
            func part(_ share: Double) -> String { "\(sorted[Int(Double(sorted.count - 1) * share)] / 1000) µs" }
            print(
                "\(occasion): \(sorted.count) waits, p50 \(part(0.5)), p99 \(part(0.99)), longest \(last / 1_000_000) ms"
            )
        }
    }

    /// A client's end waits for its thread's.
    private final class Member {
        private let thread: WorkerThread
        init(_ body: @escaping @Sendable () -> Void) throws { thread = try WorkerThread(named: "crowd", body) }
    }

    typealias Body = @Sendable (_ number: Int, _ path: String, Tally) throws -> Void

    static var limit: Deadline { .after(.seconds(60)) }

    let tally = Tally()
    private var members: [Member] = []
    private var count: Int { members.count }

    /// So many of each kind.
    init(
        _ count: Int, at socket: String,
        _ bodies: [Body]
    ) throws {
        let tally = tally
        for number in 0..<count {
            for (kind, body) in bodies.enumerated() {
                let own = number * bodies.count + kind
                members.append(
                    try Member {
                        do { try body(own, socket, tally) } catch { tally.note("client \(own): \(error)") }
                    })
            }
        }
    }

    /// Until each has gone on by so many turns.
    func wait(forTurns turns: Int) {
        let (deadline, count, tally) = (Self.limit, count, tally)
        let before = tally.turns.withLock { $0 }
        func isDone() -> Bool {
            let now = tally.turns.withLock { $0 }
            return now.count == count && now.allSatisfy { $0.value >= before[$0.key, default: 0] + turns }
        }
        while !isDone(), tally.problems.withLock({ $0.isEmpty }) {
            if deadline.hasPassed { return tally.note("not everyone goes on") }
            Clock.sleep(.milliseconds(2))
        }
    }

    /// Waits until all have ended, which they do when told to, or when their registry says farewell.
    mutating func finish(telling: Bool = true) {
        tally.isOver.store(telling, ordering: .relaxed)
        members.removeAll()
    }

    deinit { tally.isOver.store(true, ordering: .relaxed) }
}
