// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

@Suite("A registry that is full", .leavesNoDescriptor)
struct ScaleTests {
    @Test("ten thousand buffers, or as many as it takes, are there again after a restart, and with another vault")
    func restored() throws {
        var registry = try RunningRegistry()
        var owner = try HandClient(at: registry.socket)
        let memory = try HandClient.memory()
        let message = Message.register(NewBuffer(HandClient.memories(), kept: .registry))
        var count = 0
        while count < 10_000, case .answer(.registered) = try owner.ask(message, memory) { count += 1 }
        #expect(count >= 100)
        var start = Deadline.now()
        try registry.restart()
        print("restored \(count) buffers within \(Self.milliseconds(since: start)) ms")
        try expect(count, registry)

        let vault = try registry.vaultProcess()
        try PidFD(vault).send(SignalNumber.kill.rawValue)
        start = .now()
        try wait { (try? registry.vaultProcess()).map { $0 != vault } ?? false }
        try wait { try registry.run("stats").output.contains("surviving          1") }
        print("gave them to another vault within \(Self.milliseconds(since: start)) ms")
        try registry.restart()
        try expect(count, registry)
        #expect(try registry.stop().errors.contains("lost=0"))
    }

    @Test("a large journal of whatever length is gone on with")
    func oddJournal() throws {
        var registry = try RunningRegistry()
        var owner = try HandClient(at: registry.socket)
        let memory = try HandClient.memory()
        // Beyond the smallest journal's room; then names make it longer, by odd and even numbers of bytes.
        for _ in 0..<1500 {
            _ = try owner.ask(Message.register(NewBuffer(HandClient.memories(), kept: .registry)), memory)
        }
        for (index, name) in ["a", "bc", "def"].enumerated() {
            let named = Message.register(NewBuffer(HandClient.memories(), kept: .registry, name: name))
            _ = try owner.ask(named, memory)
            let log = try registry.restart()
            #expect(!log.contains("the vault is lost"), "\(log)")
            try expect(1501 + index, registry)
            #expect(try registry.run("stats").output.contains("surviving          1"))
            owner = try HandClient(at: registry.socket)
        }
        #expect(try registry.stop().errors.contains("lost=0"))
    }

    private func expect(_ count: Int, _ registry: borrowing RunningRegistry) throws {
        #expect(try registry.run("stats").output.contains("buffers            \(count)\n"))
    }

    private static func milliseconds(since start: Deadline) -> UInt64 {
        (Deadline.now().nanoseconds - start.nanoseconds) / 1_000_000
    }
}
