// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

@Suite("A registry that may have few open files", .leavesNoDescriptor)
struct FullTableTests {
    private static let openFiles = 256

    private func withFewFiles(_ body: (borrowing RunningRegistry) throws -> Void) throws {
        let registry = try RunningRegistry(openFiles: Self.openFiles, "--mode", "0666")
        try registry.settle(at: nil)
        let before = registry.openDescriptors()
        let canary = try Canary(at: registry.socket)
        canary.waitForSong()
        let result = Result { try body(registry) }
        #expect(registry.openDescriptors() <= Self.openFiles - 16)
        canary.finish("a table of \(Self.openFiles)")
        try result.get()
        try registry.settle(at: before)
        // It has recovered.
        var client = try HandClient(at: registry.socket)
        _ = try client.register(kept: .owner)
        #expect(try registry.run("list").status == 0)
        #expect(try registry.stop().status == 0)
    }

    @Test("connections are refused before it is full")
    func connections() throws {
        try withFewFiles { registry in
            var all: [Joined] = []
            var refused = 0
            for _ in 0..<200 {
                do { all.append(Joined(try HandClient(at: registry.socket))) } catch {
                    // It may be gone before it is spoken to.
                    let isRefusal = error as? HandClient.End == .farewell(.full)
                    let isGone = [.brokenPipe, .connectionReset].contains(error as? Errno)
                    guard isRefusal || isGone else { throw error }
                    refused += 1
                }
            }
            print("a table of \(Self.openFiles): \(all.count) connections, \(refused) refused")
            #expect(all.count >= 8 && refused > 0)
        }
    }

    @Test("memory is refused before it is full")
    func memory() throws {
        try withFewFiles { registry in
            var client = try HandClient(at: registry.socket)
            var count = 0
            while true {
                let message = Message.register(NewBuffer(HandClient.memories(), kept: .owner))
                guard case .answer(.registered) = try client.ask(message, try HandClient.memory()) else { break }
                count += 1
                guard count < 1000 else { break }
            }
            print("a table of \(Self.openFiles): \(count) memories")
            #expect(count >= 16 && count < Self.openFiles)
            try client.ask(.list(from: 0))
        }
    }

    @Test("fences are refused before it is full")
    func fences() throws {
        try withFewFiles { registry in
            var client = try HandClient(at: registry.socket)
            var count = 0
            buffers: for _ in 0..<8 {
                let attachment = try client.attach(try client.register(kept: .owner))
                try client.ask(.reserve(attachment, slots: 60))
                for timeline in 0..<60 {
                    var list = DescriptorList()
                    list.append(try EventFD().intoDescriptor())
                    let terms = FenceTerms(
                        timeline: UInt32(timeline), point: 1, usage: .read, kind: .eventFD, within: .seconds(10))
                    let answer = try client.ask(.request(.addFence(attachment, terms, lock: nil)), list)
                    guard case .answer(.fenceAdded) = answer else {
                        guard case .refused = answer else { throw Errno.badMessage }
                        break buffers
                    }
                    count += 1
                }
            }
            print("a table of \(Self.openFiles): \(count) fences")
            #expect(count >= 8 && count < Self.openFiles)
            try client.ask(.list(from: 0))
        }
    }
}

private final class Joined {
    let client: HandClient
    init(_ client: consuming HandClient) { self.client = client }
}
