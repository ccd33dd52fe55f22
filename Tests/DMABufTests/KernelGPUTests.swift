// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

/// A GPU that copies between buffers that others made: in the guest, Mesa's of the CPU.
@Suite("A GPU", .leavesNoDescriptor, .requires("vulkan:0"))
struct KernelGPUTests {
    private static let soon = Duration.seconds(60)

    @Test("copies the bytes of every exporter's memory into every other's", arguments: Backends.realExporters)
    func bytes(name: String) throws {
        let gpu = try GPU()
        let source = try ExporterBackend.open(name).export(.bytes(20_000))
        var writer = try CPUImporter().attach(source.memory[0], for: .readWrite).map()
        try writer.withWriteAccess { Pattern.fill(&$0) }
        let from = try gpu.attach(source)
        for other in Backends.realExporters {
            let destination = try ExporterBackend.open(other).export(.bytes(source.memory[0].byteCount))
            try gpu.copy(from, to: gpu.attach(destination))
            // The CPU's bracket waits for the GPU: its fence is in the kernel's reservation.
            let reader = try CPUImporter().attach(destination.memory[0], for: .read).map()
            let isSame = try reader.withReadAccess(within: Self.soon) { bytes in
                (0..<Int(source.memory[0].byteCount)).allSatisfy {
                    bytes.byte(at: $0) == Pattern.byte(at: $0)
                }
            }
            #expect(isSame, "\(name) to \(other)")
        }
    }

    @Test("copies an image into another whose lines lie differently", arguments: ["XR24", "RG16", "R8  ", "AB48"])
    func images(format: String) throws {
        let gpu = try GPU()
        let format = try #require(PixelFormat(format))
        let request = BufferRequest.image(width: 150, height: 36, format: format)
        // Lines of 256 bytes and more, and of as many as the display driver likes.
        for (first, second) in [("udmabuf", "dumb:card0"), ("dumb:card0", "vulkan:0"), ("vulkan:0", "heap:system")] {
            let source = try ExporterBackend.open(first).export(request)
            let destination = try ExporterBackend.open(second).export(request)
            try source.drawLines()
            let (from, to) = (try gpu.attach(source), try gpu.attach(destination))
            try gpu.copy(from, to: to)
            #expect(try destination.hasLines(within: Self.soon), "\(format.text), \(first) to \(second)")
        }
    }

    @Test("begins after those who write the source, and after those who use the destination")
    func waits() throws {
        let gpu = try GPU()
        #expect(gpu.exchangesFences)
        let source = try ExporterBackend.open("udmabuf").export(.bytes(4096))
        let destination = try ExporterBackend.open("heap:system").export(.bytes(4096))
        try gpu.fill(source.memory[0], with: 0x2222_2222)?.wait(until: .after(Self.soon))
        let (from, to) = (try gpu.attach(source), try gpu.attach(destination))
        for (memory, usage) in [
            (source.memory[0], .write), (destination.memory[0], .write), (destination.memory[0], .read),
        ] as [(DMABuffer, Access)] {
            try gpu.fill(destination.memory[0], with: 0x1111_1111)?.wait(until: .after(Self.soon))
            let scratch = try ScratchFence()
            try memory.add(scratch.fence, as: usage)
            do throws(DMABufError) {
                try gpu.copy(from, to: to, until: .after(.milliseconds(100)))
                Issue.record("copied over a pending fence")
            } catch { #expect(error.code == .deadline && error.message.contains("vgem"), "\(error)") }
            try scratch.signal()
            // Nothing was begun.
            #expect(try destination.memory[0].isFilled(with: 0x11))
            let done = try gpu.copy(from, to: to)
            #expect(try done?.wait(until: .after(Self.soon)) ?? .signalled == .signalled)
            #expect(try destination.memory[0].isFilled(with: 0x22))
        }
    }

    @Test("begins after a fence that it is given, and is not held up by those who read the source")
    func given() throws {
        let gpu = try GPU()
        let source = try ExporterBackend.open("udmabuf").export(.bytes(4096))
        let destination = try ExporterBackend.open("udmabuf").export(.bytes(4096))
        let (from, to) = (try gpu.attach(source), try gpu.attach(destination))
        let reader = try ScratchFence()
        try source.memory[0].add(reader.fence, as: .read)
        try gpu.copy(from, to: to, until: .after(.seconds(5)))?.wait(until: .after(.seconds(5)))
        let scratch = try ScratchFence()
        let event = try EventFence()
        for given in [scratch.fence, event.fence] {
            #expect(throws: DMABufError.self) {
                try gpu.copy(from, to: to, after: given, until: .after(.milliseconds(50)))
            }
        }
        try reader.signal()
        try scratch.signal()
        try event.signal()
        for given in [scratch.fence, event.fence] {
            try gpu.copy(from, to: to, after: given)?.wait(until: .after(Self.soon))
        }
    }

    @Test("its queue itself waits for a fence of another driver's")
    func queue() throws {
        let physical = try #require(try VulkanInstance().devices().first)
        let device = try VulkanDevice(physical)
        let buffer = try ExporterBackend.open("udmabuf").export(.bytes(4096)).memory[0]
        let scratch = try ScratchFence()
        let before = try VulkanSemaphore(device, from: scratch.fence.duplicateDescriptor())
        let bytes = try VulkanBuffer(importing: buffer.duplicateDescriptor(), byteCount: 4096, device)
        let work = try VulkanWork(.fill(bytes, with: 0x3333_3333), on: device, after: before, raising: true)
        #expect(try work.wait(until: .after(.milliseconds(200))) == false)
        #expect(try buffer.isFilled(with: 0))
        try scratch.signal()
        #expect(try work.wait(until: .after(Self.soon)))
        #expect(try buffer.isFilled(with: 0x33))
        // Done: a sync_file that has signalled, or none.
        if let file = try work.takeSyncFile() { #expect(try Fence(adopting: file).status() == .signalled) }
    }

    @Test("lends memory that other devices take")
    func lends() throws {
        let exporter = try ExporterBackend.open("vulkan:0")
        #expect(exporter.offer.traits.isSuperset(of: [.cpuMappable, .kernelFences]))
        let made = try exporter.export(.image(width: 640, height: 480, format: .xrgb8888))
        for name in ["drm:card0", "drm:card1", "kms:card0", "vulkan:0"] {
            try ImporterBackend.open(name).attach(made.memory[0], for: .read).detach()
        }
    }

    @Test("lets go of what it attached once it is done")
    func letsGo() throws {
        let source = try ExporterBackend.open("udmabuf").export(.bytes(65536))
        let destination = try ExporterBackend.open("udmabuf").export(.bytes(65536))
        let gpu = try GPU()
        do {
            let (from, to) = (try gpu.attach(source), try gpu.attach(destination))
            try gpu.copy(from, to: to)?.wait(until: .after(Self.soon))
        }
        #expect(try source.memory[0].referenceCount() == 1)
        do {
            let (from, to) = (try gpu.attach(source), try gpu.attach(destination))
            for _ in 0..<3 { try gpu.copy(from, to: to) }
        }
        try destination.memory[0].fence(waitingBefore: .write)?.wait(until: .after(Self.soon))
        gpu.collect()
        #expect(try destination.memory[0].referenceCount() == 1)
        do {
            let gpu = try GPU()
            let (from, to) = (try gpu.attach(source), try gpu.attach(destination))
            #expect(try #require(try source.memory[0].referenceCount()) > 1)
            for _ in 0..<100 { try gpu.copy(from, to: to) }
        }
        #expect(try source.memory[0].referenceCount() == 1)
        #expect(try destination.memory[0].referenceCount() == 1)
    }

    @Test("what it cannot do is said before it is tried")
    func refusals() throws {
        let gpu = try GPU()
        let image = try ExporterBackend.open("udmabuf").export(.image(width: 64, height: 64, format: .xrgb8888))
        let other = try ExporterBackend.open("udmabuf").export(.image(width: 64, height: 32, format: .xrgb8888))
        let attached = try gpu.attach(image)
        for wrong in [
            try gpu.attach(other), try gpu.attach(ExporterBackend.open("udmabuf").export(.bytes(16384))), attached,
        ] {
            do throws(DMABufError) {
                try gpu.copy(attached, to: wrong)
                Issue.record("copied what does not match")
            } catch { #expect(error.code == .invalid, "\(error)") }
        }
        var tiled = try #require(image.description.image)
        tiled.modifier = Modifier(rawValue: 0x0100_0000_0000_0001)
        let strange = try DescribedBuffer(
            BufferDescription(sizes: image.description.sizes, content: .image(tiled)), memory: image.memory)
        let yuyv = try ExporterBackend.open("udmabuf").export(
            .image(width: 64, height: 64, format: #require(PixelFormat("YUYV"))))
        for (buffer, word) in [
            (strange, "modifier"), (yuyv, "YUYV"), (try MemFDExporter().export(.bytes(4096)), "memfd"),
        ] {
            do throws(DMABufError) {
                _ = try gpu.attach(buffer)
                Issue.record("attached \(word)")
            } catch { #expect(error.code == .refused && error.message.contains(word), "\(error)") }
        }
    }

    @Test func whatIsNoDeviceIsSaid() {
        for name in ["vulkan:", "vulkan:x", "vulkan:-1", "vulkan:00", "vulkan:99", "vulkan:99999999999"] {
            #expect(throws: DMABufError.self) { _ = try ImporterBackend.open(name) }
            #expect(throws: DMABufError.self) { _ = try ExporterBackend.open(name) }
        }
    }
}

extension DescribedBuffer {
    /// What each byte of a plane is, by where it is seen: padding is not.
    private static func sample(_ plane: Int, _ line: Int, _ column: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: plane &* 89 &+ line &* 7 &+ column &* 3 &+ 1)
    }

    private var lines: [(plane: Int, line: Int, start: Int, byteCount: Int)] {
        guard let image = description.image, let format = image.format else { return [] }
        return zip(image.planes, format.planes).enumerated().flatMap { index, pair in
            let (plane, shape) = pair
            return (0..<Int(shape.lineCount(height: image.height))).map { line in
                (
                    index, line, Int(plane.offset) + line * Int(plane.stride),
                    Int(shape.lineByteCount(width: image.width))
                )
            }
        }
    }

    fileprivate func drawLines() throws {
        var mapping = try CPUImporter().attach(memory[0], for: .readWrite).map()
        let lines = lines
        try mapping.withWriteAccess { bytes in
            for (plane, line, start, byteCount) in lines {
                for column in 0..<byteCount {
                    bytes.storeBytes(of: Self.sample(plane, line, column), toByteOffset: start + column, as: UInt8.self)
                }
            }
        }
    }

    fileprivate func hasLines(within: Duration) throws -> Bool {
        let mapping = try CPUImporter().attach(memory[0], for: .read).map()
        let lines = lines
        return try mapping.withReadAccess(within: within) { bytes in
            lines.allSatisfy { plane, line, start, byteCount in
                (0..<byteCount).allSatisfy {
                    bytes.byte(at: start + $0) == Self.sample(plane, line, $0)
                }
            }
        }
    }
}

extension DMABuffer {
    fileprivate func isFilled(with byte: UInt8) throws -> Bool {
        try CPUImporter().attach(self, for: .read).map().withReadAccess { bytes in
            (0..<bytes.byteCount).allSatisfy { bytes.byte(at: $0) == byte }
        }
    }
}

extension RawSpan {
    fileprivate func byte(at offset: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) }
}
