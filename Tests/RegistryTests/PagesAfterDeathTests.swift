// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// A client that asks nothing sees by its page alone that the registry is gone.
@Suite("Accesses through the pages of a registry that is killed", .leavesNoDescriptor)
struct PagesAfterDeathTests {
    private static var limit: Deadline { .after(.seconds(20)) }

    @Test("the next access that begins is known to the next registry, and a move waits for it")
    func begins() throws {
        try play { (registry, holder, attached) in
            try registry.restart()
            let access = try holder.beginAccess(attached, .write, until: Self.limit)
            try Self.expectHolder(attached, registry)
            #expect(try holder.endAccess(access, until: Self.limit) == .ok)
        }
    }

    @Test("so is one that was under way, from its end on; and what was written in it is there")
    func ends() throws {
        try play { (registry, holder, attached) in
            let access = try holder.beginAccess(attached, .write, until: Self.limit)
            try registry.restart()
            #expect(try holder.endAccess(access, until: Self.limit) == .ok)
            // It has settled, for nobody else was attached.
            var mover = try RegistryConnection(at: registry.socket, until: Self.limit)
            let terms = MoveTerms(within: .seconds(1))
            try mover.ask(.beginMove(attached.id, attached.generation, terms), until: .after(.seconds(6)))
        }
    }

    @Test("who waits for the end of a move hears of the registry's")
    func waits() throws {
        try play { (registry, holder, attached) in
            var mover = try RegistryConnection(at: registry.socket, until: Self.limit)
            try mover.ask(
                .beginMove(attached.id, attached.generation, MoveTerms(within: .seconds(10))), until: Self.limit)
            let process = registry.processID
            // It waits in a futex by then, or is about to; nobody is there to wake it.
            let killer = try WorkerThread(named: "killer") {
                Clock.sleep(.milliseconds(100))
                try? PidFD(process).send(SignalNumber.kill.rawValue)
            }
            holder.patience = .zero
            do {
                _ = try holder.beginAccess(attached, .write, until: .after(.seconds(60)))
                Issue.record("it began")
            } catch {
                #expect("\(error)".contains("closed"), "\(error)")
            }
            _ = killer
            try registry.restart()
        }
    }

    @Test("nobody comes: an access ends with the connection, and the next begins no more")
    func nobodyComes() throws {
        try play { (registry, holder, attached) in
            let access = try holder.beginAccess(attached, .write, until: Self.limit)
            let process = try PidFD(registry.processID)
            try registry.send(.kill)
            try wait { try process.hasEnded }
            holder.patience = .milliseconds(50)
            do {
                _ = try holder.endAccess(access, until: Self.limit)
                Issue.record("it ended")
            } catch { #expect("\(error)".contains("closed"), "\(error)") }
            #expect(throws: RegistryError.self) { _ = try holder.beginAccess(attached, .write, until: Self.limit) }
            try registry.restart()
        }
    }

    private func play(
        _ body: (inout RunningRegistry, inout RegistryConnection, AttachedBuffer) throws -> Void
    ) throws {
        var registry = try RunningRegistry()
        var holder = try RegistryConnection(at: registry.socket, until: Self.limit)
        let memory = try ExporterBackend.open("memfd").export(.bytes(4096))
        let id = try holder.register(memory, kept: .registry, until: Self.limit).0
        let attached = try holder.attach(id, AttachTerms(.readWrite), until: Self.limit)
        try body(&registry, &holder, attached)
        #expect(try registry.stop().status == 0)
    }

    private static func expectHolder(_ attached: AttachedBuffer, _ registry: borrowing RunningRegistry) throws {
        var mover = try RegistryConnection(at: registry.socket, until: limit)
        try mover.ask(
            .beginMove(attached.id, attached.generation, MoveTerms(within: .milliseconds(200))), until: limit)
        let outcome = try mover.nextNotice(until: limit)
        guard case .moveEnded(attached.id, .aborted(.late(let holders))) = outcome else {
            Issue.record("the move ended as \(String(describing: outcome))")
            return
        }
        #expect(holders.map(\.attachment) == [attached.attachment])
    }
}
