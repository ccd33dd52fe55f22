// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// What a client had under way when the registry was killed, and what the next one knows of it.
@Suite("What is under way when the registry is killed", .leavesNoDescriptor)
struct UnderWayTests {
    private static var limit: Deadline { .after(.seconds(20)) }
    /// Long before a buffer that does not settle by itself is let go of.
    private static var soon: Deadline { .after(.seconds(6)) }

    private static func memory() throws -> DescribedBuffer {
        try ExporterBackend.open("memfd").export(.bytes(4096))
    }

    @Test("the mover and the holder of a move hear that it is off, and the holder is inside its access still")
    func move() throws {
        var registry = try RunningRegistry()
        var mover = try RegistryConnection(at: registry.socket, until: Self.limit)
        var holder = try RegistryConnection(withoutPagesAt: registry.socket, until: Self.limit)
        let (id, generation) = try mover.register(try Self.memory(), kept: .registry, until: Self.limit)
        let attached = try holder.attach(id, AttachTerms(.readWrite), until: Self.limit)
        let access = try holder.beginAccess(attached, .write, until: Self.limit)
        try mover.ask(.beginMove(id, generation, MoveTerms(within: .seconds(10))), until: Self.limit)
        _ = try holder.nextNotice(until: Self.limit) { if case .invalidate = $0 { true } else { false } }
        try registry.restart()
        #expect(try mover.nextNotice(until: Self.limit) == .moveEnded(id, .aborted(.asked)))
        #expect(
            try holder.nextNotice(until: Self.limit) == .moveAborted(attached.attachment, id, generation))
        try mover.ask(.beginMove(id, generation, MoveTerms(within: .milliseconds(300))), until: Self.soon)
        let outcome = try mover.nextNotice(until: Self.limit)
        guard case .moveEnded(id, .aborted(.late(let holders))) = outcome else {
            Issue.record("the move ended as \(String(describing: outcome))")
            return
        }
        #expect(holders.map(\.attachment) == [attached.attachment])
        #expect(try holder.endAccess(access, until: Self.limit) == .ok)
        #expect(try registry.stop().status == 0)
    }

    @Test("a buffer has settled as soon as all who were attached are back, without control pages, too")
    func settled() throws {
        var registry = try RunningRegistry()
        var first = try RegistryConnection(at: registry.socket, until: Self.limit)
        var second = try RegistryConnection(withoutPagesAt: registry.socket, until: Self.limit)
        let (id, generation) = try first.register(try Self.memory(), kept: .registry, until: Self.limit)
        _ = try first.attach(id, AttachTerms(.readWrite), until: Self.limit)
        _ = try second.attach(id, AttachTerms(.readWrite), until: Self.limit)
        try registry.restart()
        // They come back as they ask.
        _ = try first.ask(.list(from: 0), until: Self.limit)
        _ = try second.ask(.list(from: 0), until: Self.limit)
        try first.ask(.beginMove(id, generation, MoveTerms(within: .seconds(1))), until: Self.soon)
        #expect(try registry.stop().status == 0)
    }

    @Test("a task's client comes back by itself, hears what became of its move, and what it is attached to settles")
    func tasks() async throws {
        var registry = try RunningRegistry()
        let client = try RegistryClient(at: registry.socket, until: Self.limit)
        let (id, generation) = try await client.register(try Self.memory(), kept: .registry, until: Self.limit)
        let attached = try await client.attach(id, AttachTerms(.readWrite), until: Self.limit)
        try await client.ask(.beginAccess(attached.attachment, generation, .write), until: Self.limit)
        try await client.ask(.beginMove(id, generation, MoveTerms(within: .seconds(10))), until: Self.limit)
        var heard = client.notices.makeAsyncIterator()
        let owed = await heard.next()
        guard case .invalidate = owed?.notice else { throw Errno.badMessage }
        try registry.restart()
        #expect(await heard.next()?.notice == .moveEnded(id, .aborted(.asked)))
        #expect(await heard.next()?.notice == .moveAborted(attached.attachment, id, generation))
        // Until here nobody has answered.
        withExtendedLifetime(owed) {}
        #expect(try await client.ask(.endAccess(attached.attachment), until: Self.limit) == .accessEnded(.ok))
        try registry.restart()
        var newcomer = try RegistryConnection(at: registry.socket, until: Self.limit)
        _ = try newcomer.attach(id, AttachTerms(.write), until: Self.soon)
        client.close()
        #expect(try registry.stop().status == 0)
    }

    @Test("a promise holds over a restart, and its end is told by the number that its promiser knows")
    func promises() throws {
        var registry = try RunningRegistry()
        var promiser = try RegistryConnection(at: registry.socket, until: Self.limit)
        var waiter = try RegistryConnection(at: registry.socket, until: Self.limit)
        let id = try promiser.register(try Self.memory(), kept: .registry, until: Self.limit).0
        let mine = try promiser.attach(id, AttachTerms(.readWrite), until: Self.limit)
        let its = try waiter.attach(id, AttachTerms(.read), until: Self.limit)
        try promiser.ask(.reserve(mine.attachment, slots: 2), until: Self.limit)
        let kept = try EventFD()
        let late = try EventFD()
        func promise(_ event: borrowing EventFD, _ timeline: UInt32, _ within: Interval) throws -> FenceID {
            let terms = FenceTerms(timeline: timeline, point: 1, usage: .write, kind: .eventFD, within: within)
            let fence = try Fence(adopting: event.descriptor.duplicate())
            return try promiser.add(fence, to: mine.attachment, terms, until: Self.limit)
        }
        _ = try promise(kept, 1, .seconds(10))
        let expiring = try promise(late, 2, .seconds(2))
        for _ in 0..<2 {
            try registry.restart()
            // It comes back as it asks.
            _ = try promiser.ask(.list(from: 0), until: Self.limit)
        }
        let expired = try promiser.nextNotice(until: Self.limit)
        #expect(expired == .fenceExpired(expiring, id))
        let asked = Request.wait(its.attachment, .write, within: .milliseconds(100))
        do throws(RegistryError) {
            try waiter.ask(asked, until: Self.limit)
            Issue.record("the promise is forgotten")
        } catch {
            guard case .ruledOut(.timedOut(let fences)) = error else { throw error }
            #expect(fences.count == 1)
        }
        try kept.signal()
        let answer = try waiter.ask(.wait(its.attachment, .write, within: .seconds(5)), until: Self.limit)
        #expect(answer == .waited(.error(110)))
        #expect(try registry.stop().status == 0)
    }

    @Test("so does the fence that ends an access")
    func ending() throws {
        var registry = try RunningRegistry()
        var mover = try RegistryConnection(at: registry.socket, until: Self.limit)
        var holder = try RegistryConnection(withoutPagesAt: registry.socket, until: Self.limit)
        let (id, generation) = try mover.register(try Self.memory(), kept: .registry, until: Self.limit)
        let attached = try holder.attach(id, AttachTerms(.readWrite), until: Self.limit)
        _ = try holder.beginAccess(attached, .write, until: Self.limit)
        try mover.ask(.beginMove(id, generation, MoveTerms(within: .seconds(10))), until: Self.limit)
        _ = try holder.nextNotice(until: Self.limit) { if case .invalidate = $0 { true } else { false } }
        let event = try EventFD()
        let fence = try Fence(adopting: event.descriptor.duplicate())
        let terms = FenceTerms(timeline: 1, point: 1, usage: .write, kind: .eventFD, within: .seconds(10))
        try holder.acknowledge(attached.attachment, generation, ending: (fence, terms), until: Self.limit)
        try registry.restart()
        _ = try holder.nextNotice(until: Self.limit) { if case .moveAborted = $0 { true } else { false } }
        guard
            case .snapshot(.pending, let fences) = try holder.ask(
                .snapshot(attached.attachment, .write), until: Self.limit)
        else {
            Issue.record("the fence is forgotten")
            return
        }
        #expect(fences.count == 1)
        try event.signal()
        #expect(try registry.stop().status == 0)
    }

    @Test("what was to be done under a lock was not, if the registry that gave it is gone before the end")
    func lock() throws {
        var registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: Self.limit)
        let (id, _) = try client.register(try Self.memory(), kept: .registry, until: Self.limit)
        var given: LockNumber?
        var isKilled = false
        #expect {
            try client.withLock(on: [id], lasting: .seconds(10), until: Self.limit) {
                (client, lock) throws(RegistryError) in
                given = lock
                isKilled = (try? registry.restart()) != nil
                // This is answered by the next one.
                _ = try client.inspect(id, until: Self.limit)
            }
        } throws: { error in
            if case RegistryError.restarted = error { true } else { false }
        }
        #expect(isKilled)
        #expect(try client.nextNotice(until: .now()) == given.map { .lockEnded($0) })
        #expect(try registry.stop().status == 0)
    }
}
