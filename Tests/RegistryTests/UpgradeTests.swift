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

/// A registry that leaves in good order under a hundred clients that ask without a pause.
@Suite("A registry that leaves under load", .leavesNoDescriptor)
struct UpgradeTests {
    /// Of each kind.
    private static let clients = 50

    /// Until told to stop. Whatever it throws before that is a problem: none of its requests may be in doubt.
    @Sendable private static func goesOn(_ number: Int, _ path: String, _ tally: Crowd.Tally) throws {
        var client = try RegistryConnection(at: path, until: Crowd.limit)
        let buffer = try MemFDExporter().export(.bytes(4096))
        let me = client.joined.client
        var turn = 0
        while !tally.isOver.load(ordering: .relaxed) {
            turn += 1
            let name = "own\(number)-\(turn)"
            let id = try tally.timed { () throws(RegistryError) in
                try client.register(buffer, kept: .owner, name: name, until: Crowd.limit).0
            }
            let found = try tally.timed { () throws(RegistryError) in
                try client.ask(.lookup(name, uid: nil), until: Crowd.limit)
            }
            if found != .found(id, .first) { tally.note("\(name): \(found)") }
            let attached = try tally.timed { () throws(RegistryError) in
                try client.attach(name, AttachTerms(.read), until: Crowd.limit)
            }
            try tally.timed { () throws(RegistryError) in
                try client.ask(.detach(attached.attachment), until: Crowd.limit)
            }
            try tally.timed { () throws(RegistryError) in try client.ask(.withdraw(id), until: Crowd.limit) }
            tally.endTurn(of: number)
        }
        if client.joined.client != me { tally.note("\(number) is somebody else") }
    }

    @Test("another takes its place: no request is lost or done twice, and nobody waits for long")
    func replaced() throws {
        var registry = try RunningRegistry()
        var crowd = try Crowd(Self.clients, at: registry.socket, [Self.goesOn, RawMember.comingBack])
        crowd.wait(forTurns: 2)
        let calm = crowd.tally.takeLongest()
        for _ in 0..<3 {
            crowd.wait(forTurns: 2)
            let old = try registry.replace()
            #expect(old.status == 0 && old.errors.contains("another registry takes over"), "\(old.errors)")
        }
        crowd.wait(forTurns: 2)
        crowd.finish()
        #expect(crowd.tally.problems.withLock { $0 } == [])
        expectPromise(crowd.tally.takeLongest(), calm, "replaced")
        crowd.tally.report("replaced thrice under \(2 * Self.clients) clients")
        #expect(try registry.stop().status == 0)
    }

    /// Nobody waits for more than a second, which is promised, and what this machine takes for as many clients in any case:
    /// four times the longest that they have just waited with nothing going on.
    private func expectPromise(
        _ longest: Duration, _ calm: Duration, _ occasion: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        print("\(occasion): the longest wait \(longest), and \(calm) before")
        #expect(calm > .zero && longest > .zero, sourceLocation: sourceLocation)
        #expect(longest < .seconds(1) + calm * 4, sourceLocation: sourceLocation)
    }

    @Test("tasks of one client: none of their requests is in doubt, either")
    func tasks() async throws {
        var registry = try RunningRegistry()
        let client = try RegistryClient(at: registry.socket, until: Crowd.limit)
        let buffer = try MemFDExporter().export(.bytes(4096))
        let tally = Crowd.Tally()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask {
                    var turn = 0
                    while !tally.isOver.load(ordering: .relaxed) {
                        turn += 1
                        let name = "task\(number)-\(turn)"
                        let (id, _) = try await client.register(buffer, kept: .owner, name: name, until: Crowd.limit)
                        try await client.ask(.withdraw(id), until: Crowd.limit)
                    }
                }
            }
            for _ in 0..<3 {
                Clock.sleep(.milliseconds(100))
                #expect(try registry.replace().status == 0)
            }
            Clock.sleep(.milliseconds(100))
            tally.isOver.store(true, ordering: .relaxed)
            try await group.waitForAll()
        }
        client.close()
        #expect(try registry.stop().status == 0)
    }

    /// Until its registry says farewell.
    @Sendable private static func untilFarewell(_ number: Int, _ path: String, _ tally: Crowd.Tally) throws {
        var client = try RegistryConnection(at: path, until: Crowd.limit)
        let buffer = try MemFDExporter().export(.bytes(4096))
        var (turn, last) = (0, BufferID?.none)
        while true {
            turn += 1
            let name = "own\(number)-\(turn)"
            do throws(RegistryError) {
                let id = try tally.timed { () throws(RegistryError) in
                    try client.register(buffer, kept: .registry, name: name, until: Crowd.limit).0
                }
                tally.there.withLock { $0[name] = id }
                if let last {
                    try tally.timed { () throws(RegistryError) in try client.ask(.withdraw(last), until: Crowd.limit) }
                    tally.there.withLock { $0["own\(number)-\(turn - 1)"] = nil }
                }
                last = id
            } catch {
                guard case .connection(.farewell(let farewell)) = error, farewell.reason == .leaving else {
                    throw error
                }
                if tally.there.withLock({ $0[name] == nil }) { tally.never.withLock { _ = $0.insert(name) } }
                return
            }
            tally.endTurn(of: number)
        }
    }

    @Test("memory that is being made is waited for")
    func ordered() throws {
        for _ in 0..<5 {
            let registry = try RunningRegistry()
            var client = try HandClient(at: registry.socket)
            let order = Allocation(.bytes(1 << 20), exporter: "memfd", kept: .registry, name: nil)
            let request = try client.send(.allocate(order))
            try registry.send(.terminate)
            guard case .answer(.registered) = try client.answer(to: request) else { throw Errno.badMessage }
            _ = try registry.stop()
        }
    }

    @Test("it is told to stop: what it has received is answered, and what it has not is not acted upon")
    func stopped() throws {
        var registry = try RunningRegistry()
        var crowd = try Crowd(Self.clients, at: registry.socket, [Self.untilFarewell, RawMember.untilFarewell])
        crowd.wait(forTurns: 3)
        let calm = crowd.tally.takeLongest()
        let old = try registry.startAgain()
        #expect(old.status == 0 && old.errors.contains("stopping"), "\(old.errors)")
        crowd.finish(telling: false)
        #expect(crowd.tally.problems.withLock { $0 } == [])
        expectPromise(crowd.tally.takeLongest(), calm, "stopped")
        crowd.tally.report("stopped under \(2 * Self.clients) clients")
        var client = try HandClient(at: registry.socket)
        let (there, never) = (crowd.tally.there.withLock { $0 }, crowd.tally.never.withLock { $0 })
        #expect(there.count >= 2 * Self.clients - 2 && !never.isEmpty)
        for (name, id) in there {
            let found = try client.ask(Request.lookup(name, uid: nil))
            #expect(found == .found(id, .first), "\(name)")
        }
        for name in never {
            let found = try client.ask(Request.lookup(name, uid: nil))
            #expect(found == .refused(.noSuchBuffer), "\(name)")
        }
        #expect(try registry.stop().status == 0)
    }
}
