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

    @Test(
        "a point of a timeline goes into the registry, and what is to be waited for comes out as one",
        .requires("timeline:card2"))
    func timelines() throws {
        let registry = try RunningRegistry()
        let deadline = Deadline.after(.seconds(60))
        var client = try RegistryConnection(at: registry.socket, until: deadline)
        let buffer = try ExporterBackend.open(Backends.realExporters[0]).export(.bytes(4096))
        let (id, _) = try client.register(buffer, until: deadline)
        let attached = try client.attach(id, AttachTerms(.readWrite), until: deadline)
        try client.ask(.reserve(attached.attachment, slots: 1), until: deadline)
        let timeline = try Timeline(on: TimelineDevice(node: "card2"))
        #expect(throws: RegistryError.self) {
            try client.add(4, of: timeline, to: attached.attachment, .write, until: deadline)
        }
        let other = try OtherBuffer()
        let fence = try VGEM.attachFence(to: other.gem, write: true)
        let file = try other.memory.fence(waitingBefore: .write)
        try timeline.add(try #require(file), at: 4)
        try client.add(4, of: timeline, to: attached.attachment, .write, until: deadline)
        #expect(try !isReady(buffer, .readable))
        try attached.putFences(before: .read, at: 5, of: timeline)
        #expect(try timeline.signalledPoint() == 0 && timeline.submittedPoint() == 5)
        try fence.signal()
        try timeline.wait(for: 5, until: deadline)
        #expect(
            try client.ask(.wait(attached.attachment, .write, within: .seconds(5)), until: deadline) == .waited(.ok))
        _ = try registry.stop()
    }

    private func isReady(_ buffer: DescribedBuffer, _ interest: Poll.Events) throws -> Bool {
        let descriptor = try buffer.memory[0].duplicateDescriptor()
        return try !Poll.wait(descriptor, for: interest, until: .now()).isEmpty
    }
}
