// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

/// One suite for every exporter: what each promises, and that its claims hold.
@Suite("Every exporter", .leavesNoDescriptor)
struct KernelExporterTests {
    @Test(arguments: Backends.everyExporter)
    func makesZeroedMemoryOfTheSizeAskedFor(name: String) throws {
        let exporter = try ExporterBackend.open(name)
        for byteCount in [1, 4096, 4097, 100_000] as [UInt64] {
            let made = try exporter.export(.bytes(byteCount))
            let needed = max(byteCount, exporter.offer.leastSize ?? 0)
            #expect(made.memory.count == 1)
            #expect(made.memory[0].byteCount >= byteCount)
            #expect(made.memory[0].byteCount < needed + 8192)
            #expect(made.description.sizes == [made.memory[0].byteCount])
            let mapping = try CPUImporter().attach(made.memory[0], for: .read).map()
            #expect(try mapping.withReadAccess(isZero))
        }
    }

    @Test(arguments: Backends.everyExporter)
    func describesImagesThatFit(name: String) throws {
        let exporter = try ExporterBackend.open(name)
        for (width, height, format) in [
            (640, 480, "XR24"), (33, 7, "RG16"), (1, 1, "XR24"), (63, 31, "NV12"), (16, 16, "YU12"),
        ] as [(UInt32, UInt32, String)] {
            let made = try exporter.export(.image(width: width, height: height, format: #require(PixelFormat(format))))
            let image = try #require(made.description.image)
            #expect(image.width == width && image.height == height && image.modifier == .linear)
            try made.description.check(realSizes: made.memory.map(\.byteCount))
        }
    }

    /// What a buffer can move to: other memory, described as the first is, whoever makes it.
    @Test(arguments: Backends.everyExporter)
    func makesMemoryLikeAnothers(name: String) throws {
        let exporter = try ExporterBackend.open(name)
        // Larger than the smallest that it makes.
        let scale = exporter.offer.leastSize == nil ? 1 : 32 as UInt32
        let requests: [BufferRequest] = [
            .bytes(70_000 * UInt64(scale)), .image(width: 64 * scale, height: 32 * scale, format: .xrgb8888),
        ]
        for request in requests {
            for first in [try MemFDExporter().export(request), try exporter.export(request)] {
                let second = try exporter.export(like: first)
                #expect(second.description == first.description)
                #expect(second.memory.map(\.byteCount) == first.memory.map(\.byteCount))
                #expect(!second.memory[0].isSameMemory(as: first.memory[0]))
            }
        }
        let tiled = try MemFDExporter().export(.image(width: 64, height: 32, format: .xrgb8888)).tiled()
        #expect(throws: DMABufError.self) { _ = try exporter.export(like: tiled) }
    }

    @Test(arguments: Backends.everyExporter)
    func refusesWhatCannotBe(name: String) throws {
        let exporter = try ExporterBackend.open(name)
        for byteCount in [0, UInt64.max, UInt64(Int64.max)] {
            #expect(throws: DMABufError.self) { _ = try exporter.export(.bytes(byteCount)) }
        }
        #expect(throws: DMABufError.self) {
            _ = try exporter.export(.image(width: .max, height: .max, format: .xrgb8888))
        }
        if let limit = exporter.offer.sizeLimit {
            #expect(throws: DMABufError.self) { _ = try exporter.export(.bytes(limit + 1)) }
            // A larger one might not fit the machine.
            if limit <= 256 << 20 { #expect(try exporter.export(.bytes(limit)).memory[0].byteCount == limit) }
        }
    }

    @Test(arguments: Backends.everyExporter)
    func isWhatItClaimsToBe(name: String) throws {
        let exporter = try ExporterBackend.open(name)
        let traits = exporter.offer.traits
        let buffer = try Backends.bytes(65536, from: name)
        #expect(traits.contains(.standIn) == (buffer.kind == .memfd))
        #expect(traits.contains(.kernelFences) == (try buffer.fence(waitingBefore: .write) != nil))
        if traits.contains(.cpuMappable) { try CPUImporter().attach(buffer, for: .readWrite).map().unmap() }
        #expect(exporter.name.hasPrefix(String(name.prefix { $0 != ":" })))
    }

    /// Scanout is claimed exactly where the exporter's own device makes a framebuffer of its memory.
    @Test(arguments: Backends.everyExporter)
    func scanoutIsWhatTheDeviceShows(name: String) throws {
        let exporter = try ExporterBackend.open(name)
        let made = try exporter.export(.image(width: 640, height: 480, format: .xrgb8888))
        let image = try #require(made.description.image)
        var shown = false
        if let node = exporter.name.split(separator: ":").last, node.hasPrefix("card") {
            let device = try DRMNode(String(node))
            let buffer = try device.importBuffer(made.memory[0].duplicateDescriptor())
            shown =
                (try? DRMFramebuffer(
                    buffer, width: image.width, height: image.height, fourcc: image.fourcc,
                    stride: image.planes[0].stride)) != nil
        }
        #expect(exporter.offer.traits.contains(.scanout) == shown)
    }

    @Test(arguments: Backends.everyExporter)
    func memoryOutlivesItsExporterAndIsCounted(name: String) throws {
        let buffer = try Backends.bytes(65536, from: name)
        guard buffer.kind == .dmaBuf else { return #expect(try buffer.referenceCount() == nil) }
        #expect(try buffer.referenceCount() == 1)
        let copy = try DMABuffer(adopting: buffer.duplicateDescriptor())
        #expect(copy.inode == buffer.inode)
        #expect(try buffer.referenceCount() == 2)
        do {
            let mapping = try CPUImporter().attach(copy, for: .read).map()
            #expect(try buffer.referenceCount() == 3)
            mapping.unmap()
        }
        #expect(try buffer.referenceCount() == 2)
    }

    @Test(arguments: Backends.everyExporter)
    func inodesAreNeverGivenTwice(name: String) throws {
        var seen: Set<UInt64> = []
        for _ in 0..<20 { #expect(seen.insert(try Backends.bytes(4096, from: name).inode).inserted) }
    }

    @Test(arguments: Backends.realExporters)
    func namesAreSetAndBounded(name: String) throws {
        let buffer = try Backends.bytes(4096, from: name)
        #expect(try buffer.name() == nil)
        try buffer.setName("frame")
        #expect(try buffer.name() == "frame")
        #expect(throws: DMABufError.self) { try buffer.setName(String(repeating: "x", count: 32)) }
    }

    @Test func whatIsNoExporterIsSaid() {
        for name in [
            "", "nonsense", "vgem:", "heap", "heap:../x", "dumb", "dumb:card987", "memfd:x", "udmabuf:1", "v4l2", ":",
        ] {
            #expect(throws: DMABufError.self) { _ = try ExporterBackend.open(name) }
        }
    }

    @Test func choosingSaysWhatWasTried() throws {
        let (exporter, attempts) = try ExporterBackend.choose()
        #expect(attempts.last?.line == "\(attempts.last?.name ?? ""): works")
        #expect(attempts.dropLast().allSatisfy { !$0.line.hasSuffix("works") })
        #expect(exporter.offer.traits.contains(.standIn) == Backends.realExporters.isEmpty)
    }
}

/// Of whole pages.
private func isZero(_ bytes: RawSpan) -> Bool {
    let words = Span<UInt64>(_bytes: bytes)
    return words.indices.allSatisfy { words[$0] == 0 }
}

extension DescribedBuffer {
    /// The same memory, said to be laid out as only a device knows.
    fileprivate func tiled() throws -> DescribedBuffer {
        var image = try #require(description.image)
        image.modifier = Modifier(rawValue: 0x0100_0000_0000_0001)
        return try DescribedBuffer(
            BufferDescription(sizes: description.sizes, content: .image(image)), memory: memory)
    }
}
