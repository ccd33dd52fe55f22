// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// A video device is taken from its driver while it is used.
@Suite(
    "A video device that goes away", .serialized, .leavesNoDescriptor,
    .requires("guest", "root", "v4l2:video0", "v4l2:video1"))
struct KernelVideoGoneTests {
    @Test("every call of a queue says so, the memory of others stays, and to end later is safe")
    func queue() throws {
        let device = try BoundDevice(of: "video0")
        let buffers: [DescribedBuffer]
        let numbers: [String]
        do {
            var queue = try VideoQueue.capturing(640, 480)
            buffers = try queue.buffers(3, from: Backends.realExporters[0])
            try queue.queue(0, buffers[0], until: .soon)
            #expect(try queue.dequeue(until: .soon)?.index == 0)
            for index in 1..<3 { try queue.queue(index, buffers[index], until: .soon) }
            try queue.checkDevice()
            try device.unbind()
            expectGone { () throws(DMABufError) in try queue.checkDevice() }
            expectGone { () throws(DMABufError) in _ = try queue.dequeue(until: .soon) }
            expectGone { () throws(DMABufError) in try queue.queue(0, buffers[0], until: .soon) }
            expectGone { () throws(DMABufError) in try queue.choose() }
            expectGone { () throws(DMABufError) in try queue.importBuffers(2) }
            expectGone { () throws(DMABufError) in _ = try queue.exportBuffers(2) }
            expectGone { () throws(DMABufError) in try queue.stop() }
            #expect(try buffers[0].memory[0].colours() > 4)
            // The device is there again, and has nothing to do with the queue of the one before.
            try device.bindAnywhere()
            let end = Deadline.soon
            while V4L2Node.names.count < 2, !end.hasPassed { Clock.sleep(.milliseconds(10)) }
            numbers = V4L2Node.names
            expectGone { () throws(DMABufError) in try queue.checkDevice() }
            #expect(buffers[1].memory[0].isHeldElsewhere)
            do throws(DMABufError) {
                try queue.end()
                Issue.record("it is still there")
            } catch { #expect(error.code == .gone, "\(error)") }
        }
        // The number was still taken.
        #expect(numbers == ["video1", "video2"])
        try device.unbind()
        try device.bind()
        // Its end has let go of what it had queued.
        for buffer in buffers { #expect(!buffer.memory[0].isHeldElsewhere) }
        var queue = try VideoQueue.capturing(640, 480)
        let again = try queue.buffers(1, from: Backends.realExporters[0])
        try queue.queue(0, again[0], until: .soon)
        #expect(try queue.dequeue(until: .soon)?.index == 0)
        try queue.end()
    }

    @Test("a wait that is under way ends at once")
    func waiting() throws {
        let device = try BoundDevice(of: "video1")
        do {
            // An output shows its only frame until it has another.
            var queue = try VideoQueue(node: "video1", .output)
            try queue.choose(width: 640, height: 480, format: .xrgb8888)
            let buffer = try queue.buffers(1, from: Backends.realExporters[0])[0]
            try queue.queue(0, buffer, until: .soon)
            let unbinding = try Running(["sh", "-c", "sleep 1; exec \"$@\"", "sh"] + device.unbinding)
            let begun = Deadline.now()
            expectGone { () throws(DMABufError) in _ = try queue.dequeue(until: .after(.seconds(60))) }
            let seconds = (Deadline.now().nanoseconds - begun.nanoseconds) / 1_000_000_000
            #expect(seconds < 30, "it waited for \(seconds) s")
            #expect(try unbinding.finish().status == 0)
        }
        try device.bind()
    }

    @Test("what it has made stays as it was, and it makes no more; what imports says so as well")
    func exporter() throws {
        let device = try BoundDevice(of: "video0")
        let counted = Machine.dmaBufCount
        do {
            let exporter = try ExporterBackend.open("v4l2:video0")
            let importer = try ImporterBackend.open("v4l2:video0")
            let made = try exporter.export(.image(width: 640, height: 480, format: .xrgb8888)).memory[0]
            var mapping = try CPUImporter().attach(made, for: .readWrite).map()
            try mapping.withWriteAccess {
                $0.storeBytes(of: 0x0123_4567_89ab_cdef, toByteOffset: 4096, as: UInt64.self)
            }
            let attachment = try importer.attach(made, for: .write)
            #expect(Machine.dmaBufCount == counted + 1)
            try device.unbind()
            #expect(try made.word(at: 4096) == 0x0123_4567_89ab_cdef)
            #expect(try mapping.withReadAccess { Span<UInt64>(_bytes: $0)[512] } == 0x0123_4567_89ab_cdef)
            // It can still be passed to devices that are there.
            try ImporterBackend.open("kms:card0").attach(made, for: .read).detach()
            expectGone { () throws(DMABufError) in _ = try exporter.export(.bytes(4096)) }
            expectGone { () throws(DMABufError) in try importer.attach(made, for: .write).detach() }
            attachment.detach()
        }
        #expect(Machine.dmaBufCount == counted)
        try device.bind()
        #expect(try ExporterBackend.open("v4l2:video0").export(.bytes(4096)).memory.count == 1)
    }

    private func expectGone(
        sourceLocation: SourceLocation = #_sourceLocation, _ work: () throws(DMABufError) -> Void
    ) {
        do throws(DMABufError) {
            try work()
            Issue.record("it is still there", sourceLocation: sourceLocation)
        } catch {
            #expect(
                error.code == .gone && error.message.contains("/dev/video"), "\(error)", sourceLocation: sourceLocation)
        }
    }
}

extension DMABuffer {
    fileprivate var isHeldElsewhere: Bool { (try? referenceCount()) ?? 0 > 1 }

    fileprivate func word(at offset: Int) throws -> UInt64 {
        try CPUImporter().attach(self, for: .read).map().withReadAccess { Span<UInt64>(_bytes: $0)[offset / 8] }
    }
}
