// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("Bytes, in one call of a task", .leavesNoDescriptor)
struct AsyncAccessTests {
    private let limit = Deadline.after(.seconds(60))

    @Test("what one task writes another reads, and both follow a move by themselves")
    func bytes() async throws {
        let registry = try RunningRegistry()
        do {
            let writer = try RegistryClient(at: registry.socket, until: limit)
            let reader = try RegistryClient(at: registry.socket, until: limit)
            let (id, first) = try await writer.allocate(.bytes(8192), from: "memfd", until: limit)
            var mine = try await writer.attach(id, AttachTerms(.readWrite), until: limit)
            var theirs = try await reader.attach(id, AttachTerms(.read), until: limit)
            try await writer.withAccess(.write, to: &mine) { bytes in Pattern.fill(&bytes) }
            let seen = try await reader.withAccess(.read, to: &theirs) { checksum(of: $0) }
            #expect(seen == Pattern.checksum(byteCount: 8192))

            let terms = MoveTerms(within: .seconds(5), copier: .server, placement: "memfd")
            try await writer.ask(.beginMove(id, first, terms), until: limit)
            // Right behind the move's begin: it waits for the end, and is on the new memory.
            let after = try await reader.withAccess(.read, to: &theirs, within: .seconds(20)) { checksum(of: $0) }
            #expect(after == Pattern.checksum(byteCount: 8192) && theirs.generation == first.next)
            try await writer.withAccess(.write, to: &mine) { $0.storeBytes(of: 1, as: UInt8.self) }
            #expect(mine.generation == first.next)
        }
        _ = try registry.stop()
    }

    @Test("a promise that is pending is waited for, and named; a task that is cancelled leaves no access behind")
    func promises() async throws {
        let registry = try RunningRegistry()
        do {
            let writer = try RegistryClient(at: registry.socket, until: limit)
            let reader = try RegistryClient(at: registry.socket, until: limit)
            let (id, first) = try await writer.allocate(.bytes(8192), from: "memfd", until: limit)
            let mine = try await writer.attach(id, AttachTerms(.readWrite), until: limit)
            var theirs = try await reader.attach(id, AttachTerms(.read), until: limit)
            try await writer.ask(.reserve(mine.attachment, slots: 1), until: limit)
            let event = try EventFD()
            let added = try await writer.add(
                try Fence(adopting: try event.descriptor.duplicate()), to: mine.attachment,
                FenceTerms(timeline: 1, point: 1, usage: .write, kind: .eventFD), until: limit)
            do throws(RegistryError) {
                try await reader.withAccess(.read, to: &theirs, within: .milliseconds(50)) { _ in
                    _ = Issue.record("it ran")
                }
                Issue.record("a pending fence was not waited for")
            } catch {
                guard case .ruledOut(.timedOut(let fences)) = error else { throw error }
                #expect(fences == [added])
            }
            let attached = theirs
            let waiting = Task {
                var attached = attached
                return try await reader.withAccess(.read, to: &attached, within: .seconds(60)) { $0.byteCount }
            }
            waiting.cancel()
            await #expect(throws: RegistryError.self) { try await waiting.value }
            try event.signal()
            #expect(try await reader.withAccess(.read, to: &theirs) { $0.byteCount } == 8192)
            // Nobody is inside: a move waits for nobody, and would abort if it had to.
            try await writer.ask(
                .beginMove(
                    id, first, MoveTerms(within: .milliseconds(200), copier: .server, placement: "memfd")),
                until: limit)
            var outcome: MoveOutcome?
            for await notice in writer.notices {
                if case .moveEnded(id, let end) = notice.notice {
                    outcome = end
                    break
                }
            }
            #expect(outcome == .moved(first.next, cutOff: []))
        }
        _ = try registry.stop()
    }

    private func checksum(of bytes: RawSpan) -> Checksum {
        var checksum = Checksum()
        checksum.add(bytes)
        return checksum
    }
}

/// Work that the registry knows nothing of, in the kernel's own reservation.
@Suite("Bytes, in one call of a task, of a real dma-buf", .leavesNoDescriptor, .requires("vgem"))
struct KernelAsyncAccessTests {
    private let limit = Deadline.after(.seconds(60))

    @Test("the kernel's fences are waited for without the pool's threads, and named")
    func fences() async throws {
        let registry = try RunningRegistry()
        do {
            let client = try RegistryClient(at: registry.socket, until: limit)
            let (id, _) = try await client.allocate(.bytes(4096), from: "vgem", until: limit)
            var attached = try await client.attach(id, AttachTerms(.readWrite), until: limit)
            let other = try OtherBuffer()
            let fence = try VGEM.attachFence(to: other.gem, write: true)
            let file = try #require(try other.memory.fence(waitingBefore: .write))
            try attached.buffer.memory[0].add(file, as: .write)
            do throws(RegistryError) {
                try await client.withAccess(.read, to: &attached, within: .milliseconds(100)) { _ in
                    _ = Issue.record("it ran")
                }
            } catch {
                #expect(error.asError.code == .deadline && error.asError.message.contains("vgem"), "\(error)")
            }
            try fence.signal()
            #expect(try await client.withAccess(.read, to: &attached) { $0.byteCount } == 4096)
        }
        _ = try registry.stop()
    }
}
