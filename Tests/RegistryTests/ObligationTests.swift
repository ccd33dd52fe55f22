// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

/// What a client owes is a value: consumed by the answer, and answered by its end.
@Suite("Obligations", .leavesNoDescriptor)
struct ObligationTests {
    private let limit = Deadline.after(.seconds(60))

    @Test("a move that is acknowledged goes on; the answer is there once")
    func acknowledged() async throws {
        let registry = try RunningRegistry()
        let (owner, holder) = try (client(registry), client(registry))
        let moving = try await Moving(owner, holder)
        for await received in holder.notices {
            guard let move = received.takeMove() else { continue }
            if let second = received.takeMove() {
                Issue.record("there were two answers")
                _ = consume second
            }
            let (attachment, generation, buffer) = (move.attachment, move.generation, move.buffer)
            let isLate = move.deadline.hasPassed
            #expect(attachment == moving.attached.attachment && buffer == moving.attached.id)
            #expect(generation == .first && !isLate)
            try await move.acknowledge(until: limit)
            break
        }
        #expect(await moving.outcome() == .moved(Generation(2), cutOff: []))
        _ = try registry.stop()
    }

    @Test("an acknowledgement may name the fence that ends the work")
    func acknowledgedWithFence() async throws {
        let registry = try RunningRegistry()
        let (owner, holder) = try (client(registry), client(registry))
        let moving = try await Moving(owner, holder)
        let event = try EventFD()
        let fence = try Fence(adopting: event.descriptor.duplicate())
        for await received in holder.notices {
            guard let move = received.takeMove() else { continue }
            let terms = FenceTerms(timeline: 1, point: 1, usage: .write, kind: .eventFD, within: .seconds(10))
            try await move.acknowledge(ending: (fence, terms), until: limit)
            break
        }
        let listing = try await owner.ask(.list(from: 0), until: limit)
        guard case .listed(let list, _) = listing else { throw Errno.invalidArgument }
        #expect(list.first?.state.contains(.moving) == true)
        try event.signal()
        #expect(await moving.outcome() == .moved(Generation(2), cutOff: []))
        _ = try registry.stop()
    }

    @Test("one that is refused, dropped or never taken has refused", arguments: ["refuse", "drop", "leave"])
    func refused(how: String) async throws {
        let registry = try RunningRegistry()
        let (owner, holder) = try (client(registry), client(registry))
        let moving = try await Moving(owner, holder)
        let begun = Deadline.now()
        for await received in holder.notices {
            guard case .invalidate = received.notice else { continue }
            if how == "leave" { break }
            guard let move = received.takeMove() else { throw Errno.invalidArgument }
            if how == "refuse" {
                try await move.refuse(until: limit)
            } else {
                _ = consume move
            }
            break
        }
        let attachment = moving.attached.attachment
        guard case .aborted(.refused(let who)) = await moving.outcome() else { throw Errno.invalidArgument }
        #expect(who.attachment == attachment)
        // It did not take until the mover's deadline.
        #expect(Deadline.now() < begun.advanced(by: .seconds(5)))
        _ = try registry.stop()
    }

    @Test(
        "one that is given after the end of its move is not taken for the answer to the next", arguments: [true, false])
    func answeredLate(isDropped: Bool) async throws {
        let registry = try RunningRegistry()
        let (owner, holder) = try (client(registry), client(registry))
        let (id, generation) = try await owner.allocate(.bytes(4096), from: "memfd", until: limit)
        let attached = try await holder.attach(id, AttachTerms(.readWrite), until: limit)
        try await holder.ask(.beginAccess(attached.attachment, generation, .write), until: limit)
        let terms = MoveTerms(within: .seconds(10), copier: .server, placement: "memfd")
        try await owner.ask(.beginMove(id, generation, terms), until: limit)
        try await owner.ask(.abortMove(id, generation), until: limit)
        try await owner.ask(.beginMove(id, generation, terms), until: limit)
        // All that was said before this is answered has been heard.
        try await holder.ask(.list(from: 0), until: limit)
        guard let first = await holder.nextMove(), let second = await holder.nextMove() else {
            throw Errno.invalidArgument
        }
        if isDropped {
            _ = consume first
        } else {
            do throws(RegistryError) {
                try await first.acknowledge(until: limit)
                Issue.record("an answer to a move that is over was taken")
            } catch { guard case .ruledOut(.notOwed) = error else { throw error } }
        }
        let listing = try await owner.ask(.list(from: 0), until: limit)
        guard case .listed(let list, _) = listing else { throw Errno.invalidArgument }
        #expect(list.first?.state.contains(.moving) == true)
        try await second.acknowledge(until: limit)
        var outcome: MoveOutcome?
        for await received in owner.notices {
            guard case .moveEnded(_, let end) = received.notice else { continue }
            outcome = end
            if end != .aborted(.asked) { break }
        }
        #expect(outcome == .moved(Generation(2), cutOff: []))
        _ = try registry.stop()
    }

    @Test("what was asked under a lock carries its number; its end unlocks", arguments: [true, false])
    func lock(isDropped: Bool) async throws {
        let registry = try RunningRegistry()
        let (one, other) = try (client(registry), client(registry))
        let (id, _) = try await one.register(try MemFDExporter().export(.bytes(4096)), until: limit)
        let attached = try await one.attach(id, AttachTerms(.readWrite), until: limit)
        try await one.ask(.reserve(attached.attachment, slots: 1), until: limit)
        let theirs = try await other.attach(id, AttachTerms(.readWrite), until: limit)
        try await other.ask(.reserve(theirs.attachment, slots: 1), until: limit)
        let event = try EventFD()
        let fence = try Fence(adopting: event.descriptor.duplicate())
        let terms = FenceTerms(timeline: 1, point: 1, usage: .write, kind: .eventFD)
        let lock = try await one.lock([id], lasting: .seconds(10), until: limit)
        let number = lock.number
        await #expect(throws: RegistryError.self) {
            _ = try await other.add(fence, to: theirs.attachment, terms, until: limit)
        }
        do throws(RegistryError) {
            _ = try await other.lock([id], until: .after(.milliseconds(50)))
            Issue.record("it was locked twice")
        } catch {
            guard case .ruledOut(.lockTimedOut(waitingFor: number)) = error else { throw error }
        }
        _ = try await lock.add(fence, to: attached.attachment, terms, until: limit)
        if isDropped { _ = consume lock } else { try await lock.unlock(until: limit) }
        let next = try await other.lock([id], until: .after(.seconds(5)))
        _ = try await next.add(fence, to: theirs.attachment, terms, until: limit)
        _ = try registry.stop()
    }

    @Test("a lock is unlocked by a task that is cancelled, too")
    func unlockWhenCancelled() async throws {
        let registry = try RunningRegistry()
        let (one, other) = try (client(registry), client(registry))
        let (id, _) = try await one.register(try MemFDExporter().export(.bytes(4096)), until: limit)
        let (granted, isGranted) = AsyncStream<Void>.makeStream()
        let holding = Task {
            let lock = try await one.lock([id], lasting: .seconds(10), until: limit)
            isGranted.finish()
            while !Task.isCancelled { await Task.yield() }
            try await lock.unlock(until: limit)
        }
        for await _ in granted {}
        let begun = Deadline.now()
        holding.cancel()
        try await holding.value
        let next = try await other.lock([id], until: .after(.seconds(5)))
        #expect(Deadline.now() < begun.advanced(by: .seconds(4)))
        try await next.unlock(until: limit)
        _ = try registry.stop()
    }

    @Test("where the task that listened was cancelled, a move is refused at once")
    func nobodyListens() async throws {
        let registry = try RunningRegistry()
        let (owner, holder) = try (client(registry), client(registry))
        let listening = Task { for await _ in holder.notices {} }
        Clock.sleep(.milliseconds(100))
        listening.cancel()
        await listening.value
        let begun = Deadline.now()
        let moving = try await Moving(owner, holder)
        guard case .aborted(.refused) = await moving.outcome() else { throw Errno.invalidArgument }
        #expect(Deadline.now() < begun.advanced(by: .seconds(5)))
        _ = try registry.stop()
    }

    @Test("what is answered with memory is asked by its own call, and nothing is lost by asking otherwise")
    func askedOtherwise() async throws {
        let registry = try RunningRegistry()
        let client = try client(registry)
        var connection = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try await client.register(
            try MemFDExporter().export(.bytes(4096)), kept: .owner, name: "frame", until: limit)
        let attached = try connection.attach(id, AttachTerms(.read), until: limit)
        let requests: [Request] = [
            .attach(id, AttachTerms(.read)), .attachNamed("frame", uid: nil, AttachTerms(.read)),
            .map(attached.attachment), .inspect(id, token: nil),
        ]
        for request in requests {
            await #expect(throws: RegistryError.self) { try await client.ask(request, until: limit) }
            #expect(throws: RegistryError.self) { try connection.ask(request, until: limit) }
        }
        // Both go on, and nothing was attached.
        let inspected = try connection.inspect(id, until: limit)
        #expect(inspected.inspection.holders.count == 1)
        try await client.ask(.withdraw(id), until: limit)
        _ = try registry.stop()
    }

    @Test("a lock that nobody waits for any more is given back at once")
    func lateLock() async throws {
        let registry = try RunningRegistry()
        let (one, other) = try (client(registry), client(registry))
        let (id, _) = try await one.register(try MemFDExporter().export(.bytes(4096)), until: limit)
        let lock = try await one.lock([id], lasting: .seconds(10), until: limit)
        let waiting = Task { _ = try await other.lock([id], lasting: .seconds(10), until: limit) }
        Clock.sleep(.milliseconds(50))
        waiting.cancel()
        _ = await waiting.result
        let begun = Deadline.now()
        try await lock.unlock(until: limit)
        let again = try await one.lock([id], until: .after(.seconds(5)))
        #expect(Deadline.now() < begun.advanced(by: .seconds(1)))
        try await again.unlock(until: limit)
        _ = try registry.stop()
    }

    @Test("so is one that a blocking client gave up, as soon as that hears of it")
    func lateLockOfAConnection() throws {
        let registry = try RunningRegistry()
        var one = try RegistryConnection(at: registry.socket, until: limit)
        var other = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try one.register(try MemFDExporter().export(.bytes(4096)), until: limit)
        let request = Request.lock([id], within: .seconds(5), lasting: .seconds(10))
        try one.withLock(on: [id], lasting: .seconds(10), until: limit) { (_, _) throws(RegistryError) in
            do throws(RegistryError) {
                try other.ask(request, until: .after(.milliseconds(20)))
                Issue.record("it was locked twice")
            } catch { guard case .connection(.deadline) = error else { throw error } }
        }
        #expect(try other.nextNotice(until: .after(.milliseconds(50))) == nil)
        try one.withLock(on: [id], until: .after(.seconds(2))) { (_, _) throws(RegistryError) in }
        _ = try registry.stop()
    }

    @Test("an attachment that nobody waits for any more is detached", arguments: [true, false])
    func lateAttachment(isAsync: Bool) async throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        let (id, generation) = try owner.register(try MemFDExporter().export(.bytes(4096)), until: limit)
        let client = try client(registry)
        var blocking = try RegistryConnection(at: registry.socket, until: limit)
        // During a move an attach waits for its end.
        try owner.ask(.beginMove(id, generation, MoveTerms(within: .seconds(10))), until: limit)
        let soon = Deadline.after(.milliseconds(20))
        do throws(RegistryError) {
            if isAsync {
                _ = try await client.attach(id, AttachTerms(.read, .pinned), until: soon)
            } else {
                _ = try blocking.attach(id, AttachTerms(.read, .pinned), until: soon)
            }
            Issue.record("it was attached during a move")
        } catch { guard case .connection(.deadline) = error else { throw error } }
        try owner.ask(.abortMove(id, generation), until: limit)
        try blocking.ask(.list(from: 0), until: limit)
        try wait { try owner.inspect(id, until: limit).inspection.listing.attachments == 0 }
        try owner.ask(.beginMove(id, generation, MoveTerms(within: .seconds(10))), until: limit)
        _ = try registry.stop()
    }

    @Test("a move under a lock; and a lock that lasts as long as a closure, at most")
    func moveUnderLock() async throws {
        let registry = try RunningRegistry()
        let owner = try client(registry)
        let (id, generation) = try await owner.allocate(.bytes(4096), from: "memfd", until: limit)
        let lock = try await owner.lock([id], lasting: .seconds(10), until: limit)
        let terms = MoveTerms(within: .seconds(1), copier: .server, placement: "memfd")
        await #expect(throws: RegistryError.self) {
            try await owner.ask(.beginMove(id, generation, terms), until: limit)
        }
        try await lock.beginMove(id, generation, terms, until: limit)
        try await lock.unlock(until: limit)

        var blocking = try RegistryConnection(at: registry.socket, until: limit)
        let number = try blocking.withLock(on: [id], until: limit) { (_, number) throws(RegistryError) in number }
        do throws(RegistryError) {
            try blocking.withLock(on: [id], until: limit) { (_, next) throws(RegistryError) in
                #expect(next.rawValue > number.rawValue)
                throw .connection(.deadline)
            }
        } catch { guard case .connection(.deadline) = error else { throw error } }
        do throws(RegistryError) {
            try blocking.withLock(on: [id], lasting: .milliseconds(10), until: limit) { (_, _) throws(RegistryError) in
                Clock.sleep(.milliseconds(100))
            }
            Issue.record("it was over and nobody was told")
        } catch { guard case .ruledOut(.lockEnded) = error else { throw error } }
        _ = try registry.stop()
    }

    @Test("a blocking client that never takes its notices loses the connection, and keeps no more than its limit")
    func untaken() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(withoutPagesAt: registry.socket, until: limit)
        var deaf = try RegistryConnection(withoutPagesAt: registry.socket, until: limit)
        let (id, generation) = try owner.register(try MemFDExporter().export(.bytes(4096)), until: limit)
        _ = try deaf.attach(id, AttachTerms(.read), until: limit)
        var moves = 0
        do throws(RegistryError) {
            // Two notices for each move.
            while moves < RegistryConnection.noticeLimit {
                try owner.ask(.beginMove(id, generation, MoveTerms(within: .seconds(5))), until: limit)
                try owner.ask(.abortMove(id, generation), until: limit)
                // The mover is told of its own move.
                while try owner.nextNotice(until: .now()) != nil {}
                moves += 1
                if moves % 50 == 0 { try deaf.ask(.list(from: 0), until: limit) }
            }
            Issue.record("nothing stopped it")
        } catch {
            guard case .connection(.unexpected) = error else { throw error }
        }
        #expect(moves > RegistryConnection.noticeLimit / 2 && moves <= RegistryConnection.noticeLimit / 2 + 50)
        _ = try registry.stop()
    }

    private func client(_ registry: borrowing RunningRegistry) throws -> RegistryClient {
        try RegistryClient(at: registry.socket, until: limit)
    }
}

extension RegistryClient {
    /// The next move that this client is asked about.
    fileprivate func nextMove() async -> MoveNotice? {
        for await received in notices { if let move = received.takeMove() { return move } }
        return nil
    }
}

/// A move that a holder is asked about.
private struct Moving {
    let owner: RegistryClient
    let attached: AttachedBuffer

    init(_ owner: RegistryClient, _ holder: RegistryClient) async throws {
        let deadline = Deadline.after(.seconds(60))
        let (id, generation) = try await owner.allocate(.bytes(4096), from: "memfd", until: deadline)
        attached = try await holder.attach(id, AttachTerms(.readWrite), until: deadline)
        try await holder.ask(.beginAccess(attached.attachment, generation, .write), until: deadline)
        let terms = MoveTerms(within: .seconds(10), copier: .server, placement: "memfd")
        try await owner.ask(.beginMove(id, generation, terms), until: deadline)
        self.owner = owner
    }

    func outcome() async -> MoveOutcome? {
        for await received in owner.notices {
            if case .moveEnded(_, let outcome) = received.notice { return outcome }
        }
        return nil
    }
}
