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
                let count: UInt64 = 512 << 20
                let memory = try MemFD.create(named: "big", byteCount: count)
                let mebibyte = [UInt8](repeating: 1, count: 1 << 20)
                for part in 0..<512 { try memory.writeAll(mebibyte, at: part << 20) }
                try MemFD.addSeals(memory, [.shrink, .grow])
                var list = DescriptorList()
                list.append(memory)
                let message = Message.register(NewBuffer(HandClient.memories(count), kept: .owner))
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
}
