// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("Control pages over real memory", .leavesNoDescriptor)
struct KernelPagesTests {
    private let limit = Deadline.after(.seconds(240))

    @Test(
        "an access by page follows its buffer from exporter to exporter", arguments: Backends.realExporters + ["memfd"])
    func follows(exporter: String) throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var importer = try RegistryConnection(at: registry.socket, until: limit)
        let (id, first) = try owner.allocate(.bytes(8192), from: exporter, name: "paged", until: limit)
        var attached = try importer.attach("paged", AttachTerms(.readWrite), until: limit)
        try importer.access(attached, .readWrite, until: limit) { buffer throws(DMABufError) in
            var mapping = try CPUImporter().attach(buffer.memory[0], for: .readWrite).map()
            try mapping.withWriteAccess { Pattern.fill(&$0) }
        }
        try owner.move(id, from: first, to: "memfd", until: limit)
        do throws(RegistryError) {
            try importer.access(attached, .read, until: limit) { _ in }
            Issue.record("an access began on memory that was moved away")
        } catch {
            guard case .ruledOut(.stale(first.next)) = error else { throw error }
        }
        attached = try importer.map(attached.attachment, until: limit)
        let isSame = try importer.access(attached, .read, until: limit) { buffer throws(DMABufError) in
            let mapping = try CPUImporter().attach(buffer.memory[0], for: .read).map()
            return try mapping.withReadAccess { bytes in
                var checksum = Checksum()
                checksum.add(bytes)
                return checksum == Pattern.checksum(byteCount: 8192)
            }
        }
        #expect(isSame)
        _ = try registry.stop()
    }

    /// Of threads that have begun one before: see `sync_until.c`.
    @Test(
        "the bytes of a dma-buf cost the two ioctls of the bracket and nothing else, however little time there is",
        .enabled(if: Trace.isPossible, "strace is missing, or may not trace"), arguments: Backends.realExporters)
    func systemCalls(exporter: String) throws {
        let registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: limit)
        let memory = try Backends.bytes(8192, from: exporter)
        let (id, _) = try client.register(
            DescribedBuffer(.bytes(8192), memory: [memory]), kept: .owner, until: limit)
        var attached = try client.attach(id, AttachTerms(.readWrite), until: limit)
        for limit in [Duration.seconds(2), .milliseconds(500)] {
            func access() throws {
                try client.withAccess(.write, to: &attached, within: limit) { $0.storeBytes(of: 1, as: UInt8.self) }
            }
            try access()
            // A clock that cannot be read in user space, as where the processor's is unstable, is read in the kernel.
            let calls = try Trace.calls { for _ in 0..<20 { try access() } }
                .filter { !$0.contains("resumed>") && !$0.contains("clock_gettime") }
            #expect(calls.count == 40 && calls.allSatisfy { $0.contains("DMA_BUF_IOCTL_SYNC") }, "\(calls)")
        }
        _ = try registry.stop()
    }
}
