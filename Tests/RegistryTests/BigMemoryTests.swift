// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

@Suite("Much memory", .leavesNoDescriptor)
struct BigMemoryTests {
    @Test("big memory that is let go of keeps nobody waiting")
    func bigMemory() throws {
        for hasVault in [false, true] {
            let registry = try hasVault ? RunningRegistry() : RunningRegistry(tool: Tool.path, "--no-vault")
            try registry.withCanary("half a gibibyte that is let go of, \(hasVault ? "with" : "without") a vault") {
                var owner = try HandClient(at: registry.socket)
                var list = try Self.memory()
                let message = Message.register(NewBuffer(HandClient.memories(Self.count), kept: .owner))
                let request = try owner.send(message, list)
                list = DescriptorList()
                guard case .answer(.registered(let id, _)) = try owner.answer(to: request) else {
                    throw Errno.badMessage
                }
                try owner.ask(.withdraw(id))
                Clock.sleep(.milliseconds(500))
            }
            _ = try registry.stop()
        }
    }

    @Test("nor does memory that has become big since it was registered")
    func grown() throws {
        let registry = try RunningRegistry(tool: Tool.path, "--no-vault")
        try registry.withCanary("a page that has become half a gibibyte") {
            var owner = try HandClient(at: registry.socket)
            let memory = try MemFD.create(named: "small", byteCount: 4096)
            try MemFD.addSeals(memory, .shrink)
            var list = DescriptorList()
            try list.appendDuplicate(of: memory)
            let request = try owner.send(.register(NewBuffer(HandClient.memories(), kept: .owner)), list)
            guard case .answer(.registered(let id, _)) = try owner.answer(to: request) else { throw Errno.badMessage }
            list = DescriptorList()
            try Self.fill(memory)
            // Nobody but the registry has it then.
            _ = consume memory
            try owner.ask(.withdraw(id))
            Clock.sleep(.milliseconds(500))
        }
        _ = try registry.stop()
    }

    @Test("nor does big memory that is not taken, and that nobody else has")
    func refused() throws {
        let registry = try RunningRegistry()
        let messages: [Message] = [
            .register(NewBuffer(HandClient.memories(Self.count), kept: .owner, name: "taken")),
            .register(NewBuffer(HandClient.memories(Self.count * 2), kept: .owner)),
            .request(.addFence(AttachmentID(1), FenceTerms(timeline: 1, point: 1, usage: .read), lock: nil)),
        ]
        for message in messages {
            try registry.withCanary("half a gibibyte that is refused") {
                var owner = try HandClient(at: registry.socket)
                _ = try owner.register(kept: .owner, name: "taken")
                var list = try Self.memory()
                let request = try owner.send(message, list)
                list = DescriptorList()
                switch try owner.answer(to: request) {
                case .refused, .answer(.refused): break
                case let other: Issue.record("\(other)")
                }
                Clock.sleep(.milliseconds(500))
            }
        }
        _ = try registry.stop()
    }

    private static let count: UInt64 = 512 << 20

    /// With a page behind every byte.
    private static func memory() throws -> DescriptorList {
        let memory = try MemFD.create(named: "big", byteCount: count)
        try fill(memory)
        try MemFD.addSeals(memory, [.shrink, .grow])
        var list = DescriptorList()
        list.append(memory)
        return list
    }

    private static func fill(_ memory: borrowing Descriptor) throws {
        let mebibyte = [UInt8](repeating: 1, count: 1 << 20)
        for part in 0..<512 { try memory.writeAll(mebibyte, at: part << 20) }
    }
}
