// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// vivid captures into the memory of others, and shows it.
@Suite("A video queue", .serialized, .leavesNoDescriptor)
struct KernelVideoQueueTests {
    @Test(
        "captures into the memory of every exporter", .requires("v4l2:video0"), arguments: Backends.realExporters)
    func capture(exporter: String) throws {
        var queue = try VideoQueue.capturing(640, 480)
        let buffers = try queue.buffers(3, from: exporter)
        var seen: [UInt32] = []
        for round in 0..<6 {
            let index = round % 3
            try queue.queue(index, buffers[index], until: .soon)
            let frame = try #require(try queue.dequeue(until: .soon))
            #expect(frame.index == index && !frame.isDamaged)
            seen.append(frame.sequence)
            // vivid paints colour bars.
            #expect(try buffers[index].memory[0].colours() > 4)
        }
        #expect(seen == seen.sorted() && Set(seen).count == 6)
        let before = try buffers[0].memory[0].referenceCount()
        try queue.end()
        let after = try buffers[0].memory[0].referenceCount()
        #expect(after == 1 && before ?? 0 > 1)
    }

    @Test("lends its own memory, which others map and import", .requires("v4l2:video0", "vgem"))
    func export() throws {
        var queue = try VideoQueue.capturing(640, 480)
        let buffers = try queue.exportBuffers(2)
        #expect(buffers.count == 2)
        #expect(buffers[0].memory[0].exporterName.hasPrefix("videobuf2"))
        try queue.queue(0, buffers[0], until: .soon)
        let frame = try #require(try queue.dequeue(until: .soon))
        #expect(frame.index == 0)
        #expect(try buffers[0].memory[0].colours() > 4)
        #expect(try buffers[1].memory[0].colours() == 1)
        let vgem = try DRMImporter(node: VGEM.open().name)
        try vgem.attach(buffers[0].memory[0], for: .read).detach()
        try queue.end()
        // The memory outlives the queue.
        #expect(try buffers[0].memory[0].colours() > 4)
    }

    @Test("shows the memory of every exporter", .requires("v4l2:video1"), arguments: Backends.realExporters)
    func output(exporter: String) throws {
        var queue = try VideoQueue(node: "video1", .output)
        try queue.choose(width: 640, height: 480, format: .xrgb8888)
        let buffers = try queue.buffers(3, from: exporter)
        for index in 0..<3 { try queue.queue(index, buffers[index], until: .soon) }
        #expect(try queue.dequeue(until: .soon)?.index == 0)
        #expect(try queue.dequeue(until: .soon)?.index == 1)
        #expect(!queue.isQueued(1) && queue.isQueued(2))
        try queue.stop()
        #expect(queue.queuedCount == 0)
        try queue.end()
    }

    @Test("a queue belongs to one, and is free afterwards", .requires("v4l2:video0"))
    func oneOwner() throws {
        var first = try VideoQueue.capturing(640, 480)
        try first.importBuffers(2)
        var second = try VideoQueue(node: "video0", .capture)
        do throws(DMABufError) {
            try second.importBuffers(2)
            Issue.record("two have the queue")
        } catch { #expect(error.cause == .resourceBusy) }
        // An importer of the same device says so, too.
        let buffer = try Backends.bytes(4 << 20, from: Backends.realExporters[0])
        do throws(DMABufError) {
            try ImporterBackend.open("v4l2:video0").attach(buffer, for: .write).detach()
            Issue.record("two have the queue")
        } catch { #expect(error.code == .refused && error.message.contains("in use")) }
        try first.end()
        try second.importBuffers(2)
        try second.end()
    }

    @Test("a device that does not do it says so", .requires("v4l2:video0", "v4l2:video1"))
    func direction() {
        #expect(throws: DMABufError.self) { _ = try VideoQueue(node: "video1", .capture) }
        #expect(throws: DMABufError.self) { _ = try VideoQueue(node: "video0", .output) }
        #expect(throws: DMABufError.self) { _ = try VideoQueue(node: "/dev/null", .capture) }
    }
}

/// What does not fit is refused before the driver is asked, in words.
@Suite("What a video queue requires", .serialized, .leavesNoDescriptor, .requires("v4l2:video0"))
struct KernelVideoRequirementTests {
    @Test("a stride that the device does not write is named, with the one that would do")
    func stride() throws {
        let refusal = try refused(image(640, 480, stride: 2600))
        #expect(refusal?.message.contains("stride of 2600 bytes") == true && refusal?.message.contains("2560") == true)
        #expect(refusal?.remedy?.contains("a stride of 2560 bytes") == true)
        // vivid leaves room behind a line where it is asked to.
        var queue = try VideoQueue.capturing(640, 480)
        try queue.adopt(image(640, 480, stride: 4096))
        #expect(queue.image.planes[0].stride == 4096)
        try queue.end()
    }

    @Test("an image of another size or format is named")
    func format() throws {
        #expect(try refused(image(320, 240, stride: 1280))?.message.contains("320x240 XR24") == true)
        var other = try VideoQueue(node: "video0", .capture)
        do throws(DMABufError) {
            try other.choose(format: PixelFormat("GR32"))
            Issue.record("vivid makes GR32")
        } catch { #expect(error.remedy?.contains("XR24") == true) }
        do throws(DMABufError) {
            try other.choose(width: 641, height: 333, format: .xrgb8888)
            Issue.record("the webcam has that size")
        } catch { #expect(error.message.contains("it would take")) }
    }

    @Test("what is no image and has no room for a frame is refused, and the kernel would have refused it, too")
    func size() throws {
        let bytes = try DescribedBuffer(
            .bytes(65536), memory: [Backends.bytes(65536, from: Backends.realExporters[0])])
        #expect(try refused(bytes)?.message.contains("described as plain bytes") == true)
        _ = try VideoQueue.capturing(640, 480)
        let node = try V4L2Node("video0")
        try node.requestBuffers(1, .capture, .dmaBuf)
        var list = DescriptorList()
        list.append(try bytes.memory[0].duplicateDescriptor())
        #expect(throws: Errno.invalidArgument) { try node.queue(0, .capture, .dmaBuf, list) }
    }

    @Test("a memfd is no dma-buf, and the kernel says so as well")
    func standIn() throws {
        let standIn = try MemFDExporter().export(.image(width: 640, height: 480, format: .xrgb8888))
        #expect(try refused(standIn)?.message.contains("no dma-buf") == true)
        let node = try V4L2Node("video0")
        try node.requestBuffers(1, .capture, .dmaBuf)
        var list = DescriptorList()
        list.append(try standIn.memory[0].duplicateDescriptor())
        #expect(throws: Errno.invalidArgument) { try node.queue(0, .capture, .dmaBuf, list) }
    }

    /// What a queue of 640x480 XR24 says of a buffer.
    private func refused(_ buffer: DescribedBuffer) throws -> DMABufError? {
        var queue = try VideoQueue.capturing(640, 480)
        try queue.importBuffers(1)
        do throws(DMABufError) { try queue.queue(0, buffer, until: .soon) } catch {
            #expect(error.code == .refused)
            try queue.end()
            return error
        }
        Issue.record("it was queued")
        return nil
    }

    private func image(_ width: UInt32, _ height: UInt32, stride: UInt32) throws -> DescribedBuffer {
        let memory = try Backends.bytes(UInt64(stride) * UInt64(height), from: Backends.realExporters[0])
        let layout = ImageLayout(
            width: width, height: height, fourcc: PixelFormat.xrgb8888.fourcc, modifier: .linear,
            planes: [ImageLayout.Plane(memory: 0, offset: 0, stride: stride)])
        return try DescribedBuffer(
            BufferDescription(sizes: [memory.byteCount], content: .image(layout)), memory: [memory])
    }
}

/// The driver ignores the reservation; the queue does not.
@Suite("Fences before a video queue", .serialized, .leavesNoDescriptor, .requires("v4l2:video0", "vgem"))
struct KernelVideoFenceTests {
    @Test("nothing is queued before a reader's fence has ended; without waiting the driver fills the buffer")
    func implicit() throws {
        var queue = try VideoQueue.capturing(640, 480)
        let buffer = try queue.buffers(1, from: Backends.realExporters[0])[0]
        let reader = try ScratchFence()
        try buffer.memory[0].add(reader.fence, as: .read)
        do throws(DMABufError) {
            try queue.queue(0, buffer, until: .after(.milliseconds(100)))
            Issue.record("a buffer that is read was queued")
        } catch {
            #expect(error.code == .deadline && error.message.contains("vgem") && error.message.contains("still used"))
        }
        #expect(!queue.isQueued(0) && queue.queuedCount == 0)
        #expect(try buffer.memory[0].colours() == 1)
        try reader.signal()
        try queue.queue(0, buffer, until: .soon)
        #expect(try queue.dequeue(until: .soon) != nil)
        try queue.end()
    }

    @Test("the control: the driver itself waits for no fence")
    func control() throws {
        var queue = try VideoQueue.capturing(640, 480)
        let buffer = try queue.buffers(1, from: Backends.realExporters[0])[0]
        try queue.end()
        let node = try V4L2Node("video0")
        try node.requestBuffers(1, .capture, .dmaBuf)
        let writer = try ScratchFence()
        try buffer.memory[0].add(writer.fence, as: .write)
        var list = DescriptorList()
        list.append(try buffer.memory[0].duplicateDescriptor())
        try node.queue(0, .capture, .dmaBuf, list)
        try node.streamOn(.capture)
        #expect(try node.wait(.capture, until: .after(.seconds(5))))
        #expect(try node.dequeue(.capture, .dmaBuf)?.index == 0)
        #expect(try writer.fence.status() == .pending)
        try node.streamOff(.capture)
        try writer.signal()
    }

    @Test("explicit fences are waited for as well, and a late one is a deadline")
    func explicit() throws {
        var queue = try VideoQueue.capturing(640, 480)
        let buffer = try queue.buffers(1, from: Backends.realExporters[0])[0]
        let event = try EventFD()
        let fence = try Fence(adopting: event.descriptor.duplicate())
        do throws(DMABufError) {
            try queue.queue(0, buffer, after: [fence], until: .after(.milliseconds(50)))
            Issue.record("it did not wait")
        } catch { #expect(error.code == .deadline && error.message.contains("an eventfd")) }
        try event.signal()
        try queue.queue(0, buffer, after: [fence], until: .soon)
        #expect(try queue.dequeue(until: .soon) != nil)
        try queue.end()
    }

    @Test("an output waits for writers and not for readers", .requires("v4l2:video1"))
    func output() throws {
        var queue = try VideoQueue(node: "video1", .output)
        try queue.choose(width: 640, height: 480, format: .xrgb8888)
        let buffers = try queue.buffers(2, from: Backends.realExporters[0])
        let (reader, writer) = (try ScratchFence(), try ScratchFence())
        try buffers[0].memory[0].add(reader.fence, as: .read)
        try queue.queue(0, buffers[0], until: .after(.milliseconds(200)))
        try buffers[1].memory[0].add(writer.fence, as: .write)
        #expect(throws: DMABufError.self) { try queue.queue(1, buffers[1], until: .after(.milliseconds(50))) }
        try writer.signal()
        try queue.queue(1, buffers[1], until: .soon)
        try reader.signal()
        try queue.end()
    }
}

/// vivid with the allocator of devices that reach contiguous memory alone.
@Suite(
    "A video device without scatter and gather", .serialized, .leavesNoDescriptor,
    .requires("guest", "root", "v4l2:video0"))
struct KernelContiguousVideoTests {
    @Test("scattered memory is refused in words, before the ioctl where it is known and after it where not")
    func scattered() throws {
        try Vivid.loaded("allocators=1") {
            var queue = try VideoQueue.capturing(640, 480)
            try queue.importBuffers(1)
            #expect(queue.requirements.traits == .contiguous)
            for exporter in Backends.realExporters where !exporter.hasPrefix("dumb:card2") {
                let buffer = try queue.image(from: exporter)
                do throws(DMABufError) {
                    try queue.queue(0, buffer, until: .soon)
                    Issue.record("\(exporter) was queued")
                } catch {
                    #expect(error.code == .refused && error.message.contains("contiguous"), "\(exporter): \(error)")
                    #expect(error.remedy?.contains("v4l2:video0") == true)
                    // Of a DRM driver's memory nothing is known, and the device had to be asked.
                    #expect(
                        error.cause == (buffer.memory[0].facts.isContiguous == nil ? .badAddress : nil), "\(exporter)")
                    if exporter == "udmabuf" { #expect(error.cause == nil) }
                    if exporter == "vgem" { #expect(error.cause == .badAddress) }
                }
            }
            try queue.end()
            let importer = try ImporterBackend.open("v4l2:video0")
            let large = try Backends.bytes(4 << 20, from: Backends.realExporters[0])
            #expect(throws: DMABufError.self) { try importer.attach(large, for: .write).detach() }
        }
    }

    @Test("its own memory is contiguous, and can be captured into")
    func own() throws {
        try Vivid.loaded("allocators=1") {
            let own = try ExporterBackend.open("v4l2:video0").export(.image(width: 640, height: 480, format: .xrgb8888))
            #expect(own.memory[0].exporterName == "videobuf2_dma_contig")
            var queue = try VideoQueue(node: "video0", .capture)
            try queue.adopt(own)
            try queue.importBuffers(1)
            try queue.queue(0, own, until: .soon)
            #expect(try queue.dequeue(until: .soon) != nil)
            #expect(try own.memory[0].colours() > 4)
            try queue.end()
        }
    }

    @Test("frames in several memories are captured, too")
    func multiplanar() throws {
        try Vivid.loaded("multiplanar=2") {
            var queue = try VideoQueue(node: "video0", .capture)
            try queue.choose(width: 640, height: 480, format: .xrgb8888)
            let buffers = try queue.buffers(2, from: Backends.realExporters[0])
            try queue.queue(0, buffers[0], until: .soon)
            #expect(try queue.dequeue(until: .soon)?.index == 0)
            #expect(try buffers[0].memory[0].colours() > 4)
            try queue.end()

            // Luma and chroma apart.
            var planar = try VideoQueue(node: "video0", .capture)
            let apart = try nv12InTwo(640, 480)
            try planar.adopt(apart)
            try planar.importBuffers(1)
            try planar.queue(0, apart, until: .soon)
            #expect(try planar.dequeue(until: .soon)?.index == 0)
            #expect(try apart.memory[0].colours() > 1 && apart.memory[1].colours() > 1)
            try planar.end()

            // And shown.
            var shown = try VideoQueue(node: "video1", .output)
            try shown.adopt(apart)
            try shown.importBuffers(2)
            // It shows one until the next is there.
            try shown.queue(0, apart, until: .soon)
            try shown.queue(1, nv12InTwo(640, 480), until: .soon)
            #expect(try shown.dequeue(until: .soon)?.index == 0)
            try shown.end()

            // The device's own memory, likewise.
            var own = try VideoQueue(node: "video0", .capture)
            try own.adopt(apart)
            let lent = try own.exportBuffers(2)
            #expect(lent.allSatisfy { $0.memory.count == 2 })
            for index in 0..<2 { try own.queue(index, until: .soon) }
            #expect(try own.dequeue(until: .soon)?.index == 0)
            #expect(try lent[0].memory[0].colours() > 1 && lent[0].memory[1].colours() > 1)
            try own.end()
        }
    }

    private func nv12InTwo(_ width: UInt32, _ height: UInt32) throws -> DescribedBuffer {
        let exporter = Backends.realExporters[0]
        let size = UInt64(width * height)
        let memory = [try Backends.bytes(size, from: exporter), try Backends.bytes(size / 2, from: exporter)]
        let layout = ImageLayout(
            width: width, height: height, fourcc: try #require(PixelFormat("NV12")).fourcc, modifier: .linear,
            planes: [
                ImageLayout.Plane(memory: 0, offset: 0, stride: width),
                ImageLayout.Plane(memory: 1, offset: 0, stride: width),
            ])
        return try DescribedBuffer(
            BufferDescription(sizes: memory.map(\.byteCount), content: .image(layout)), memory: memory)
    }
}

/// The guest's video driver, loaded in another way for a moment.
enum Vivid {
    static func loaded(_ parameter: String, _ body: () throws -> Void) throws {
        try load(parameter)
        defer { try? load() }
        try body()
    }

    private static func load(_ parameters: String...) throws {
        for command in [["modprobe", "-r", "vivid"], ["modprobe", "vivid"] + parameters] {
            let run = try Running(command).finish()
            guard run.status == 0 else {
                Issue.record("\(command): \(run.errors)")
                throw Errno.noSuchFileOrDirectory
            }
        }
        let deadline = Deadline.after(.seconds(10))
        while !Machine.isThere("v4l2:video0"), !deadline.hasPassed { Clock.sleep(.milliseconds(10)) }
    }
}

extension VideoQueue {
    static func capturing(_ width: UInt32, _ height: UInt32) throws -> VideoQueue {
        var queue = try VideoQueue(node: "video0", .capture)
        try queue.choose(width: width, height: height, format: .xrgb8888)
        return queue
    }

    /// Memory of an exporter's for each buffer, described as the device needs it.
    mutating func buffers(_ count: Int, from exporter: String) throws -> [DescribedBuffer] {
        try importBuffers(count)
        return try (0..<count).map { _ in try image(from: exporter) }
    }

    func image(from exporter: String) throws -> DescribedBuffer {
        let memory = try Backends.bytes(sizes[0], from: exporter)
        return try DescribedBuffer(
            BufferDescription(sizes: [memory.byteCount], content: .image(image)), memory: [memory])
    }
}

extension Deadline {
    /// Long enough for any frame in an emulated machine.
    static var soon: Deadline { .after(.seconds(20)) }
}

extension DMABuffer {
    /// How many different words there are in 8 KiB from the middle on.
    func colours() throws -> Int {
        let mapping = try CPUImporter().attach(self, for: .read).map()
        return try mapping.withReadAccess { bytes in
            let start = Int(byteCount) / 2 / 4096 * 4096
            let words = Span<UInt32>(_bytes: bytes.extracting(start..<min(start + 8192, bytes.byteCount)))
            return Set(words.indices.map { words[$0] }).count
        }
    }
}
