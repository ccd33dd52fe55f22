// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// A client that goes about its business in a thread of its own while others misbehave: it lists, attaches, accesses and
/// detaches, again and again, and must be served all the time.
struct Canary: ~Copyable {
    private final class State: Sendable {
        let isEnding = Mutex(false)
        let latencies = Mutex<[UInt64]>([])
        let failure = Mutex<String?>(nil)
    }

    private let state = State()
    private let thread: WorkerThread

    init(at socket: String) throws {
        let state = state
        thread = try WorkerThread(named: "canary") {
            do { try Self.sing(at: socket, state) } catch { state.failure.withLock { $0 = "\(error)" } }
        }
    }

    private static func sing(at socket: String, _ state: State) throws {
        var client = try RegistryConnection(at: socket, until: .after(HandClient.patience))
        let buffer = try MemFDExporter().export(.bytes(4096))
        let (id, _) = try client.register(buffer, kept: .owner, name: "canary", until: .after(HandClient.patience))
        @discardableResult
        func timed<Result>(_ body: (Deadline) throws -> Result) throws -> Result {
            let begin = Deadline.now()
            let result = try body(.after(HandClient.patience))
            let nanoseconds = Deadline.now().nanoseconds - begin.nanoseconds
            state.latencies.withLock { $0.append(nanoseconds) }
            return result
        }
        while !state.isEnding.withLock({ $0 }) {
            let all = try timed { try client.list(until: $0) }
            guard all.contains(where: { $0.buffer == id }) else { throw Errno.noSuchFileOrDirectory }
            let attached = try timed { try client.attach(id, AttachTerms(.readWrite), until: $0) }
            try timed { try client.ask(.beginAccess(attached.attachment, attached.generation, .read), until: $0) }
            try timed { try client.ask(.endAccess(attached.attachment), until: $0) }
            try timed { try client.ask(.detach(attached.attachment), until: $0) }
            // It is there to be served, not to keep the processor from the others.
            Clock.sleep(.milliseconds(2))
        }
    }

    /// Ends it, records what went wrong, and reports how long its requests took.
    consuming func finish(_ occasion: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let state = state
        state.isEnding.withLock { $0 = true }
        Self.join(thread)
        if let failure = state.failure.withLock({ $0 }) {
            Issue.record("the canary was not served: \(failure)", sourceLocation: sourceLocation)
        }
        let sorted = state.latencies.withLock { $0 }.sorted()
        #expect(!sorted.isEmpty, sourceLocation: sourceLocation)
        guard let last = sorted.last else { return }
        func part(_ share: Double) -> String { "\(sorted[Int(Double(sorted.count - 1) * share)] / 1000) µs" }
        print(
            "canary, \(occasion): \(sorted.count) requests, p50 \(part(0.5)), p99 \(part(0.99)), longest \(last / 1000) µs"
        )
    }

    /// Until it has been served for the first time.
    func waitForSong() {
        let deadline = Deadline.after(.seconds(60))
        while state.latencies.withLock({ $0.count }) < 5, state.failure.withLock({ $0 }) == nil, !deadline.hasPassed {
            Clock.sleep(.milliseconds(1))
        }
    }

    private static func join(_ thread: consuming WorkerThread) {}
}

extension RunningRegistry {
    /// Plays `body` beside a canary. Afterwards the daemon is the same process, and has what it had before.
    borrowing func withCanary(_ occasion: String, _ body: () throws -> Void) throws {
        // What is made once is made now.
        do { _ = try HandClient(at: socket) }
        try settle(at: nil)
        let before = openDescriptors()
        let canary = try Canary(at: socket)
        canary.waitForSong()
        let result = Result { try body() }
        canary.finish(occasion)
        try result.get()
        try settle(at: before)
        #expect(try run("list").output == "no buffers\n")
    }

    /// Waits until it has as many descriptors as before, or until the number does not change for a while: those of who has
    /// just left go a moment later.
    borrowing func settle(at count: Int?, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let deadline = Deadline.after(.seconds(60))
        var (last, unchanged) = (-1, 0)
        while !deadline.hasPassed {
            let now = openDescriptors()
            unchanged = now == last ? unchanged + 1 : 0
            if let count { if now <= count { return } } else if unchanged == 4 { return }
            last = now
            Clock.sleep(.milliseconds(count == nil ? 50 : 5))
        }
        Issue.record("descriptors: \(openDescriptors()), before: \(count ?? -1)", sourceLocation: sourceLocation)
    }
}
