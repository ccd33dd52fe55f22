// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import DMABufClient

@Suite("Accesses through control pages", .leavesNoDescriptor)
struct PagesTests {
    private let limit = Deadline.after(.seconds(240))

    @Test("no access is on memory that was moved away unawares, and no move commits while someone is inside")
    func threads() throws {
        let registry = try RunningRegistry()
        let (tally, socket) = (Tally(), registry.socket)
        var mover = try RacingMover(socket)
        try race(socket, tally, &mover) { mover in
            for move in 0..<Soak.moves {
                try mover.move(within: .seconds(10), late: .abort, givingUp: move % 4 == 3)
            }
        }
        let counts = tally.value
        #expect(counts.unawares == 0 && counts.lost == 0 && mover.caught == 0)
        #expect(mover.committed == Soak.moves - Soak.moves / 4)
        #expect(counts.maps > 0 && counts.accesses > 0)
        print("race: \(mover.committed) moves, \(mover.aborted) given up, \(counts.accesses) accesses")
        _ = try registry.stop()
    }

    @Test("a holder that is cut off learns at the end of its access that it is lost")
    func cutOff() throws {
        let registry = try RunningRegistry()
        let (tally, socket) = (Tally(), registry.socket)
        var mover = try RacingMover(socket)
        try race(socket, tally, dawdling: .milliseconds(8), &mover) { mover in
            for _ in 0..<Soak.moves / 8 { try mover.move(within: .milliseconds(2), late: .cutOff) }
        }
        let counts = tally.value
        #expect(counts.unawares == 0 && counts.lost > 0)
        print("cut off: \(mover.committed) moves, \(counts.lost) of \(counts.accesses) accesses lost")
        _ = try registry.stop()
    }

    private func race(
        _ socket: String, _ tally: Tally, dawdling: Duration? = nil, _ mover: inout RacingMover,
        _ body: (inout RacingMover) throws -> Void
    ) throws {
        func start(_ index: Int) throws -> WorkerThread {
            try WorkerThread(named: "importer") { [tally] in
                do {
                    var importer = try Importer(socket, index, tally)
                    try importer.run(dawdling: dawdling)
                } catch { Issue.record("importer \(index): \(error)") }
            }
        }
        let first = try start(0)
        let second = try start(1)
        let third = try start(2)
        try wait { tally.value.accesses > 100 }
        let result = Result { try body(&mover) }
        try mover.end()
        _ = consume first
        _ = consume second
        _ = consume third
        try result.get()
    }

    @Test("the same with importers in another process")
    func processes() async throws {
        let registry = try RunningRegistry()
        let socket = registry.socket
        let outcome = Mutex<String>("nothing")
        let moving = try WorkerThread(named: "mover") {
            do {
                var mover = try RacingMover(socket)
                // The other process has begun when a move meets a holder or an importer; it needs no sign.
                for move in 0..<Soak.moves {
                    try mover.move(within: .seconds(10), late: .abort, givingUp: move % 4 == 3)
                }
                try mover.end()
                outcome.withLock { $0 = "caught \(mover.caught), moved \(mover.committed)" }
            } catch { outcome.withLock { $0 = "\(error)" } }
        }
        await #expect(processExitsWith: .success) { [socket = socket as String] in
            let tally = Tally()
            var importer: Importer?
            let end = Deadline.after(.seconds(20))
            while importer == nil, !end.hasPassed { importer = try? Importer(socket, 5, tally) }
            try importer?.run()
            let counts = tally.value
            guard counts.accesses > 0, counts.unawares == 0, counts.lost == 0 else { fatalError("\(counts)") }
        }
        _ = consume moving
        #expect(outcome.withLock { $0 } == "caught 0, moved \(Soak.moves - Soak.moves / 4)")
        _ = try registry.stop()
    }

    @Test("who is killed inside an access counts as zero: the move goes on")
    func killed() async throws {
        let registry = try RunningRegistry()
        let socket = registry.socket
        var owner = try RegistryConnection(at: socket, until: limit)
        let buffer = try Field.make(.first)
        let (id, generation) = try owner.register(buffer, kept: .owner, name: "field", until: limit)
        await #expect(processExitsWith: .signal(SignalNumber.kill.rawValue)) { [socket = socket as String] in
            var holder = try RegistryConnection(at: socket, until: .after(.seconds(20)))
            let attached = try holder.attach("field", AttachTerms(.readWrite), until: .after(.seconds(20)))
            let ongoing = try holder.beginAccess(attached, .readWrite, until: .after(.seconds(20)))
            var mover = try RegistryConnection(at: socket, until: .after(.seconds(20)))
            // It moves what this process is inside of, and dies before anybody lets go.
            try mover.ask(
                .beginMove(attached.id, attached.generation, MoveTerms(within: .seconds(10))),
                until: .after(.seconds(20)))
            guard try mover.nextNotice(until: .after(.milliseconds(100))) == nil else { fatalError("not waited for") }
            _ = consume ongoing
            _ = try ChildProcess(
                CommandWord.words(["sh", "-c", "kill -9 \(OwnProcess.processID)"]),
                environment: OwnProcess.environment, descriptors: DescriptorList()
            ).wait(until: .after(.seconds(20)))
        }
        // Both are dead: their move is off, and nobody is inside.
        try wait { try owner.inspect(id, until: limit).inspection.listing.attachments == 0 }
        try owner.ask(.beginMove(id, generation, MoveTerms(within: .seconds(10))), until: limit)
        let ready = try owner.next(until: limit) { if case .readyToCopy = $0 { true } else { false } }
        #expect(ready != nil)
        _ = try registry.stop()
    }

    @Test("a client that lies in its own page harms only itself")
    func liars() throws {
        let registry = try RunningRegistry()
        var mover = try RacingMover(registry.socket)
        var honest = try RegistryConnection(at: registry.socket, until: limit)
        var always = try RegistryConnection(at: registry.socket, until: limit)
        var never = try RegistryConnection(at: registry.socket, until: limit)
        var attached = try honest.attach("field", AttachTerms(.readWrite), until: limit)
        var hold = try always.attach("field", AttachTerms(.readWrite), until: limit)
        var held = try never.attach("field", AttachTerms(.readWrite), until: limit)
        // One says that it is inside for ever, one that it never is, and then less than that.
        _ = always.pages?.enter(try always.held(hold))
        let ongoing = try never.beginAccess(held, .readWrite, until: limit)
        _ = never.pages?.leave(try never.held(held))
        try mover.move(within: .milliseconds(20), late: .cutOff)
        #expect(mover.committed == 1)
        _ = try never.endAccess(ongoing, until: limit)
        #expect(throws: RegistryError.self) { _ = try honest.beginAccess(attached, .read, until: limit) }
        attached = try honest.map(attached.attachment, until: limit)
        let good = try honest.beginAccess(attached, .readWrite, until: limit)
        let state = try honest.endAccess(good, until: limit)
        #expect(state == .ok)
        // Its word says minus one now: a holder that never answers, and is cut off again.
        held = try never.map(held.attachment, until: limit)
        try mover.move(within: .milliseconds(20), late: .cutOff)
        #expect(mover.committed == 2)
        hold = try always.map(hold.attachment, until: limit)
        #expect(hold.generation == Generation(3))
        _ = try registry.stop()
    }

    @Test("a begin during a move waits for its end, which wakes it")
    func waits() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var importer = try RegistryConnection(at: registry.socket, until: limit)
        let (id, generation) = try owner.register(try Field.make(.first), kept: .owner, name: "field", until: limit)
        let attached = try importer.attach("field", AttachTerms(.readWrite), until: limit)
        try owner.ask(.beginMove(id, generation, MoveTerms(within: .seconds(1))), until: limit)
        let start = Deadline.now()
        do throws(RegistryError) {
            _ = try importer.beginAccess(attached, .read, until: .after(.milliseconds(50)))
            Issue.record("an access began during a move")
        } catch {
            guard case .ruledOut(.moving) = error else { throw error }
        }
        #expect(Deadline.now() >= start.advanced(by: .milliseconds(50)))
        // Nobody is told of a move who can look for itself.
        #expect(try importer.nextNotice(until: .after(.milliseconds(20))) == nil)
        try owner.ask(.abortMove(id, generation), until: limit)
        let ongoing = try importer.beginAccess(attached, .read, until: limit)
        let state = try importer.endAccess(ongoing, until: limit)
        #expect(state == .ok)
        _ = try registry.stop()
    }

    @Test("who acknowledges while its word counts an access has acknowledged an earlier move, and is waited for")
    func acknowledgedLate() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var importer = try RegistryConnection(at: registry.socket, until: limit)
        let (id, generation) = try owner.register(try Field.make(.first), kept: .owner, name: "field", until: limit)
        let attached = try importer.attach("field", AttachTerms(.readWrite), until: limit)
        let ongoing = try importer.beginAccess(attached, .readWrite, until: limit)
        try owner.ask(.beginMove(id, generation, MoveTerms(within: .seconds(1))), until: limit)
        try owner.ask(.abortMove(id, generation), until: limit)
        try owner.ask(.beginMove(id, generation, MoveTerms(within: .seconds(10))), until: limit)
        let late = try importer.ask(.acknowledge(attached.attachment, generation, ending: nil), until: limit)
        #expect(late == .done)
        func isReady(_ notice: Notice) -> Bool { if case .readyToCopy = notice { true } else { false } }
        let early = try owner.next(until: .after(.milliseconds(50)), isReady)
        #expect(early == nil)
        let state = try importer.endAccess(ongoing, until: limit)
        let ready = try owner.next(until: limit, isReady)
        #expect(state == .ok && ready != nil)
        _ = try registry.stop()
    }

    @Test("what is taken from one is asked for by all, once, and kept by the others")
    func revoked() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var one = try RegistryConnection(at: registry.socket, until: limit)
        var other = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try owner.register(try Field.make(.first), kept: .owner, name: "field", until: limit)
        let lost = try one.attach("field", AttachTerms(.readWrite), until: limit)
        let kept = try other.attach("field", AttachTerms(.readWrite), until: limit)
        let inside = try one.beginAccess(lost, .readWrite, until: limit)
        let level = try owner.ask(
            .revoke(id, RevokeTerms(.attachment(lost.attachment), within: .milliseconds(20))), until: limit)
        guard case .revoked(.unconfirmed) = level else { throw Errno.invalidArgument }
        let end = try one.endAccess(inside, until: limit)
        #expect(end == .revoked)
        do throws(RegistryError) {
            _ = try one.beginAccess(lost, .read, until: limit)
            Issue.record("a revoked attachment began an access")
        } catch {
            guard case .ruledOut(.revoked) = error else { throw error }
        }
        let before = try other.held(kept).stamp
        for _ in 0..<3 {
            let ongoing = try other.beginAccess(kept, .readWrite, until: limit)
            let state = try other.endAccess(ongoing, until: limit)
            #expect(state == .ok)
        }
        let after = try other.held(kept).stamp
        #expect(after > before)
        _ = try registry.stop()
    }

    @Test("a fence that is pending is waited for, and only then is the registry asked")
    func fences() throws {
        let registry = try RunningRegistry()
        var writer = try RegistryConnection(at: registry.socket, until: limit)
        var reader = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try writer.register(try Field.make(.first), kept: .owner, name: "field", until: limit)
        let mine = try writer.attach(id, AttachTerms(.readWrite), until: limit)
        let theirs = try reader.attach(id, AttachTerms(.read), until: limit)
        try writer.ask(.reserve(mine.attachment, slots: 1), until: limit)
        let event = try EventFD()
        let fence = try Fence(adopting: try event.descriptor.duplicate())
        _ = try writer.add(
            fence, to: mine.attachment, FenceTerms(timeline: 1, point: 1, usage: .write, kind: .eventFD), until: limit)
        do throws(RegistryError) {
            _ = try reader.beginAccess(theirs, .read, until: .after(.milliseconds(50)))
            Issue.record("a pending fence was not waited for")
        } catch {
            guard case .ruledOut(.timedOut) = error else { throw error }
        }
        try event.signal()
        let ongoing = try reader.beginAccess(theirs, .read, until: limit)
        let state = try reader.endAccess(ongoing, until: limit)
        #expect(state == .ok)
        _ = try registry.stop()
    }

    @Test("an attachment for which there is no word goes on by message")
    func full() throws {
        let registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try client.register(try Field.make(.first), kept: .owner, until: limit)
        var last: AttachedBuffer?
        for index in 0..<513 {
            last = try client.attach(id, AttachTerms(.readWrite), until: limit)
            #expect((last?.word != nil) == (index < 512))
        }
        let attached = try #require(last)
        let ongoing = try client.beginAccess(attached, .readWrite, until: limit)
        let state = try client.endAccess(ongoing, until: limit)
        #expect(state == .ok)
        // A word that is free again is given again.
        let first = try client.ask(.detach(AttachmentID(attached.attachment.rawValue - 1)), until: limit)
        #expect(first == .done)
        let again = try client.attach(id, AttachTerms(.readWrite), until: limit)
        #expect(again.word?.word == 511)
        _ = try registry.stop()
    }
}

extension RegistryConnection {
    func held(_ attached: AttachedBuffer) throws -> ClientPages.Held {
        guard let word = attached.word, let held = pages?.held(word, attached.attachment) else {
            throw Errno.invalidArgument
        }
        return held
    }
}
