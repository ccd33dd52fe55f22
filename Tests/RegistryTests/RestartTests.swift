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

/// The registry is killed under its clients, which go on with the next one. `DMABUF_SHARE_ROUNDS` says how often.
@Suite("Clients of a registry that is killed", .leavesNoDescriptor)
struct RestartTests {
    private static var limit: Deadline { .after(.seconds(20)) }

    private static func memory(_ byteCount: UInt64 = 4096) throws -> DescribedBuffer {
        try ExporterBackend.open("memfd").export(.bytes(byteCount))
    }

    @Test("a client is who it was: what it owns, what it is attached to, and the access that it is inside of")
    func comesBack() throws {
        var registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: Self.limit)
        var other = try RegistryConnection(at: registry.socket, until: Self.limit)
        let (id, generation) = try owner.register(try Self.memory(), kept: .owner, name: "frame", until: Self.limit)
        let attached = try other.attach("frame", AttachTerms(.readWrite), until: Self.limit)
        let ongoing = try other.beginAccess(attached, .write, until: Self.limit)
        let numbers = (owner.joined.client, other.joined.client)
        for _ in 0..<3 {
            let run = owner.joined.run
            try registry.restart()
            #expect(try owner.ask(.lookup("frame", uid: nil), until: Self.limit) == .found(id, generation))
            #expect(owner.joined.client == numbers.0 && owner.joined.run != run)
            _ = try other.map(attached.attachment, until: Self.limit)
            #expect(other.joined.client == numbers.1)
        }
        // Inside an access over three restarts: a move has to wait for it.
        let terms = MoveTerms(within: .milliseconds(300))
        _ = try owner.ask(.beginMove(id, generation, terms), until: Self.limit)
        let outcome = try owner.nextNotice(until: Self.limit) { if case .moveEnded = $0 { true } else { false } }
        guard case .moveEnded(id, .aborted(.late(let holders))) = outcome else {
            Issue.record("the move ended as \(String(describing: outcome))")
            return
        }
        #expect(holders.map(\.attachment) == [attached.attachment])
        #expect(try other.endAccess(ongoing, until: Self.limit) == .ok)
        try owner.ask(.withdraw(id), until: Self.limit)
        #expect(try registry.stop().status == 0)
    }

    @Test("more clients of one user than are heard at a time all come back at once")
    func herd() throws {
        var registry = try RunningRegistry()
        let (socket, herd) = (registry.socket, Herd())
        let members = try (0..<200).map { index in try Loop { herd.run(index, at: socket) } }
        try wait { herd.joined.load(ordering: .acquiring) == 200 }
        try registry.restart()
        herd.isKilled.store(true, ordering: .releasing)
        try wait { herd.back.load(ordering: .relaxed) == 200 }
        withExtendedLifetime(members) {}
        #expect(try registry.stop().status == 0)
    }

    private final class Herd: Sendable {
        let joined = Atomic(0)
        let isKilled = Atomic(false)
        let back = Atomic(0)

        /// They join one after the other, and come back all at once.
        func run(_ index: Int, at path: String) {
            do {
                while joined.load(ordering: .acquiring) != index { Clock.sleep(.milliseconds(1)) }
                var client = try RegistryConnection(at: path, until: limit)
                let (id, _) = try client.register(try memory(), kept: .owner, until: limit)
                joined.store(index + 1, ordering: .releasing)
                while !isKilled.load(ordering: .acquiring) { Clock.sleep(.milliseconds(1)) }
                _ = try client.inspect(id, until: limit)
                back.add(1, ordering: .relaxed)
            } catch { Issue.record("client \(index): \(error)") }
        }
    }

    @Test("who would conflict with a client that is not back yet is asked to wait, and goes on when it is")
    func settles() throws {
        var registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: Self.limit)
        var writer = try RegistryConnection(at: registry.socket, until: Self.limit)
        let (id, generation) = try owner.register(try Self.memory(), kept: .registry, name: "frame", until: Self.limit)
        let attached = try writer.attach("frame", AttachTerms(.readWrite), until: Self.limit)
        try registry.restart()
        func isSettling(_ body: (Deadline) throws(RegistryError) -> Void) -> Bool {
            for _ in 0..<5 {
                do throws(RegistryError) { try body(.after(.milliseconds(150))) } catch {
                    if case .ruledOut(.settling) = error { return true }
                    // This process was not there when its answer came.
                    if case .connection(.deadline) = error { continue }
                    Issue.record("\(error)")
                }
                return false
            }
            return false
        }
        var newcomer = try RegistryConnection(at: registry.socket, until: Self.limit)
        #expect(
            isSettling { (soon) throws(RegistryError) in
                _ = try newcomer.attach("frame", AttachTerms(.write), until: soon)
            })
        #expect(
            isSettling { (soon) throws(RegistryError) in
                try owner.ask(.beginMove(id, generation, MoveTerms(within: .seconds(1))), until: soon)
            })
        // It maps by itself as it comes back.
        _ = try writer.ask(.lookup("frame", uid: nil), until: Self.limit)
        let other = try newcomer.attach("frame", AttachTerms(.write), until: Self.limit)
        try newcomer.access(other, .write, until: Self.limit) { _ in }
        try writer.access(attached, .readWrite, until: Self.limit) { _ in }
        #expect(try registry.stop().status == 0)
    }

    @Test("who has left meanwhile is dead for the next one, too")
    func stayedAway() throws {
        var registry = try RunningRegistry()
        var witness = try RegistryConnection(at: registry.socket, until: Self.limit)
        let id: BufferID
        do {
            var owner = try RegistryConnection(at: registry.socket, until: Self.limit)
            id = try owner.register(try Self.memory(), kept: .owner, until: Self.limit).0
        }
        let kept = try witness.register(try Self.memory(), kept: .owner, until: Self.limit).0
        try registry.restart()
        #expect(try Self.all(&witness) == [kept], "\(id)")
        #expect(try registry.stop().status == 0)
    }

    @Test("one that is not told to wait for another registry ends with its own")
    func impatient() throws {
        var registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: Self.limit)
        client.patience = .zero
        try registry.restart()
        do {
            _ = try client.ask(.list(from: 0), until: Self.limit)
            Issue.record("it went on")
        } catch {
            guard case .connection(.closed) = error else {
                Issue.record("\(error)")
                return
            }
        }
        #expect(try registry.stop().status == 0)
    }

    private static func all(_ client: inout RegistryConnection) throws -> Set<BufferID> {
        var (found, cursor): (Set<BufferID>, UInt32) = ([], 0)
        repeat {
            guard case .listed(let part, let next) = try client.ask(.list(from: cursor), until: limit) else {
                throw Errno.badMessage
            }
            found.formUnion(part.map(\.buffer))
            cursor = next
        } while cursor != 0
        return found
    }

    /// What the loops have done.
    private final class Tally: Sendable {
        let isOver = Atomic(false)
        let begun = Atomic(0)
        let attached = Atomic(0)
        let restarts = Atomic(0)
        let problems = Mutex<[String]>([])
        let registered = Mutex<Set<BufferID>>([])
        func note(_ problem: String) { problems.withLock { $0.append(problem) } }
    }

    /// Its end waits for the thread's.
    private final class Loop {
        private let thread: WorkerThread
        init(_ body: @escaping @Sendable () -> Void) throws { thread = try WorkerThread(named: "client", body) }
    }

    /// Looks names up and attaches, until told to stop.
    private static func work(_ number: Int, _ path: String, _ names: [String], _ tally: Tally) {
        do {
            var client = try RegistryConnection(at: path, until: limit)
            client.patience = .seconds(30)
            let own = try register("own\(number)", &client)
            let me = client.joined.client
            tally.begun.add(1, ordering: .relaxed)
            var turn = number
            while !tally.isOver.load(ordering: .relaxed) {
                turn += 1
                do throws(RegistryError) {
                    let name = names[turn % names.count]
                    _ = try client.ask(.lookup(name, uid: nil), until: limit)
                    let attached = try client.attach(name, AttachTerms(.read), until: limit)
                    try client.ask(.detach(attached.attachment), until: limit)
                    tally.attached.add(1, ordering: .relaxed)
                } catch {
                    // A detach that had been sent.
                    guard case .restarted = error else { throw error }
                    tally.restarts.add(1, ordering: .relaxed)
                }
            }
            let found = try client.ask(.lookup("own\(number)", uid: nil), until: limit)
            if found != .found(own, .first) { tally.note("\(number) has lost its own: \(found)") }
            if client.joined.client != me { tally.note("\(number) is somebody else") }
        } catch { tally.note("client \(number): \(error)") }
    }

    /// Whether one that was asked for was registered shows once there is another registry.
    private static func register(_ name: String, _ client: inout RegistryConnection) throws -> BufferID {
        let memory = try memory()
        while true {
            do throws(RegistryError) {
                return try client.register(memory, kept: .owner, name: name, until: limit).0
            } catch {
                guard case .restarted = error else { throw error }
                if case .found(let id, _) = try? client.ask(.lookup(name, uid: nil), until: limit) { return id }
            }
        }
    }

    /// Registers, until told to stop: what was answered has to be there for good.
    private static func register(_ path: String, _ tally: Tally) {
        do {
            var client = try RegistryConnection(at: path, until: limit)
            client.patience = .seconds(30)
            let buffer = try memory()
            tally.begun.add(1, ordering: .relaxed)
            while !tally.isOver.load(ordering: .relaxed) {
                do throws(RegistryError) {
                    let id = try client.register(buffer, kept: .registry, until: limit).0
                    tally.registered.withLock { _ = $0.insert(id) }
                } catch {
                    guard case .restarted = error else { throw error }
                }
                // Its share is bounded.
                let isFull = tally.registered.withLock { $0.count > 2000 }
                Clock.sleep(.milliseconds(isFull ? 100 : 1))
                if isFull, let id = tally.registered.withLock({ $0.popFirst() }) {
                    do throws(RegistryError) { try client.ask(.withdraw(id), until: limit) } catch {
                        guard case .restarted = error else { throw error }
                    }
                }
            }
        } catch { tally.note("who registers: \(error)") }
    }

    @Test("tasks go on with the next registry, too")
    func tasks() async throws {
        var registry = try RunningRegistry()
        let client = try RegistryClient(at: registry.socket, until: Self.limit)
        let (id, generation) = try await client.register(
            try Self.memory(), kept: .owner, name: "frame", until: Self.limit)
        for _ in 0..<3 {
            try registry.restart()
            let found = try await client.ask(.lookup("frame", uid: nil), until: Self.limit)
            #expect(found == .found(id, generation))
            let attached = try await client.attach(id, AttachTerms(.read), until: Self.limit)
            #expect(attached.generation == generation)
        }
        client.close()
        #expect(try registry.stop().status == 0)
    }

    @Test("one that is told to makes room for another, and no client is sent away")
    func replaced() throws {
        var registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: Self.limit)
        let (id, generation) = try owner.register(try Self.memory(), kept: .owner, name: "frame", until: Self.limit)
        for _ in 0..<3 {
            let run = owner.joined.run
            let replaced = try registry.replace()
            #expect(
                replaced.status == 0 && replaced.errors.contains("another registry takes over"), "\(replaced.errors)")
            #expect(try owner.ask(.lookup("frame", uid: nil), until: Self.limit) == .found(id, generation))
            #expect(owner.joined.run != run)
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("nothing that was registered is lost, however often it is killed under load")
    func underLoad() throws {
        var registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: Self.limit)
        // Much else is going on while one takes the other's place.
        owner.patience = .seconds(30)
        var kept: Set<BufferID> = []
        let names = (0..<8).map { "frame\($0)" }
        for name in names {
            kept.insert(try owner.register(try Self.memory(), kept: .registry, name: name, until: Self.limit).0)
        }
        let (path, tally) = (registry.socket, Tally())
        var loops: [Loop] = []
        defer {
            tally.isOver.store(true, ordering: .relaxed)
            loops.removeAll()
        }
        loops.append(try Loop { Self.register(path, tally) })
        for number in 0..<4 { loops.append(try Loop { Self.work(number, path, names, tally) }) }
        // To join is not asked for twice.
        try wait { tally.begun.load(ordering: .relaxed) == 5 }
        for round in 0..<(5 + KilledTests.rounds) {
            Clock.sleep(.milliseconds(60))
            // One more each time, right before the end.
            kept.insert(try owner.register(try Self.memory(), kept: .registry, until: Self.limit).0)
            let log = try registry.restart(after: .milliseconds(round % 3 * 20))
            // With both lost at once nothing can survive: so the one is not to be lost by the load alone.
            #expect(!log.contains("the vault is lost"), "round \(round): \(log)")
            let found = try Self.all(&owner)
            #expect(found.isSuperset(of: kept), "round \(round)")
        }
        tally.isOver.store(true, ordering: .relaxed)
        loops.removeAll()
        #expect(tally.problems.withLock { $0 } == [])
        #expect(tally.attached.load(ordering: .relaxed) > 100)
        let answered = tally.registered.withLock { $0 }
        let surplus = try Self.all(&owner).subtracting(kept)
        // One more than was answered each time, at most: registered, and killed before the answer.
        #expect(surplus.isSuperset(of: answered) && !answered.isEmpty)
        for id in surplus { _ = try? owner.ask(.withdraw(id), until: Self.limit) }
        // Their ends are seen; nothing of theirs stays with the registry or its vault.
        let deadline = Self.limit
        while try Self.all(&owner) != kept, !deadline.hasPassed { Clock.sleep(.milliseconds(20)) }
        #expect(try Self.all(&owner) == kept)
        let vault = try registry.vaultProcess()
        // The streams, the poller, the listener, the registry's socket and process, the journal; and the memory.
        var descriptors: Int { openDescriptors(of: vault).count }
        // What it has been sent is taken a moment later.
        while descriptors > kept.count + 12, !deadline.hasPassed { Clock.sleep(.milliseconds(5)) }
        #expect(descriptors <= kept.count + 12, "\(descriptors) descriptors for \(kept.count) buffers")
        let before = registry.openDescriptors()
        try registry.restart()
        #expect(try Self.all(&owner) == kept)
        let after = registry.openDescriptors()
        #expect(abs(after - before) <= 2, "\(before), then \(after)")
        #expect(try registry.stop().status == 0)
    }
}
