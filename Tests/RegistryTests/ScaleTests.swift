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

    private func expect(_ count: Int, _ registry: borrowing RunningRegistry) throws {
        #expect(try registry.run("stats").output.contains("buffers            \(count)\n"))
    }

    private static func milliseconds(since start: Deadline) -> UInt64 {
        (Deadline.now().nanoseconds - start.nanoseconds) / 1_000_000
    }
}
