// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// A fence that a client adds through the registry is obeyed by those who know nothing of the registry.
@Suite("The kernel's reservation", .leavesNoDescriptor, .requires("vgem"))
struct KernelReservationTests {
    @Test(
        "a fence of another buffer, added through the registry, holds back whoever polls",
        arguments: Backends.realExporters)
    func bridge(exporter: String) throws {
        let registry = try RunningRegistry()
        let deadline = Deadline.after(.seconds(60))
        var client = try RegistryConnection(at: registry.socket, until: deadline)
        let buffer = try ExporterBackend.open(exporter).export(.bytes(4096))
        let (id, _) = try client.register(buffer, until: deadline)
        let attached = try client.attach(id, AttachTerms(.readWrite), until: deadline)
        try client.ask(.reserve(attached.attachment, slots: 1), until: deadline)

        // The control: nothing is pending yet.
        #expect(try isReady(buffer, .readable))
        let other = try OtherBuffer()
        let fence = try VGEM.attachFence(to: other.gem, write: true)
        let file = try other.memory.fence(waitingBefore: .write)
        let added = try client.add(
            try #require(file), to: attached.attachment, FenceTerms(timeline: 1, point: 1, usage: .write),
            until: deadline)
        #expect(try !isReady(buffer, .readable) && !isReady(buffer, .writable))
        // Another client learns of it from the registry.
        guard
            case .snapshot(.pending, let ids) = try client.ask(.snapshot(attached.attachment, .write), until: deadline)
        else { throw Errno.invalidArgument }
        #expect(ids == [added])
        try fence.signal()
        #expect(
            try client.ask(.wait(attached.attachment, .write, within: .seconds(5)), until: deadline) == .waited(.ok))
        #expect(try isReady(buffer, .writable))
        _ = try registry.stop()
    }

    private func isReady(_ buffer: DescribedBuffer, _ interest: Poll.Events) throws -> Bool {
        let descriptor = try buffer.memory[0].duplicateDescriptor()
        return try !Poll.wait(descriptor, for: interest, until: .now()).isEmpty
    }
}
