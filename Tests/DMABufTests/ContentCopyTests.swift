// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

/// Copies by the CPU, between stand-ins whose lines lie differently.
@Suite("A copy of what a buffer holds", .leavesNoDescriptor)
struct ContentCopyTests {
    private static let soon = Duration.seconds(20)

    /// 50 x 36 in NV12: planes in one memory, or each in one of its own.
    private func image(strides: [UInt32], offsets: [UInt64], apart: Bool, shade: UInt8) throws -> DescribedBuffer {
        var memory: [DMABuffer] = []
        for _ in 0..<(apart ? 2 : 1) {
            let made = try MemFDExporter().export(.bytes(16384)).memory[0]
            var mapping = try CPUImporter().attach(made, for: .readWrite).map()
            try mapping.withWriteAccess { bytes in
                for index in 0..<bytes.byteCount { bytes.storeBytes(of: shade, toByteOffset: index, as: UInt8.self) }
            }
            memory.append(made)
        }
        let planes = zip(strides, offsets).enumerated().map { index, place in
            ImageLayout.Plane(memory: apart ? index : 0, offset: place.1, stride: place.0)
        }
        let layout = ImageLayout(
            width: 50, height: 36, fourcc: try #require(PixelFormat("NV12")).fourcc, modifier: .linear, planes: planes)
        return try DescribedBuffer(
            BufferDescription(sizes: memory.map(\.byteCount), content: .image(layout)), memory: memory)
    }

    @Test("an image's lines arrive where the destination has them, and nothing else is touched")
    func lines() throws {
        let source = try image(strides: [50, 50], offsets: [7, 4000], apart: false, shade: 0)
        let samples: [(plane: Int, lines: Int)] = [(0, 36), (1, 18)]
        try source.write(0) { bytes in
            for (plane, lines) in samples {
                for line in 0..<lines {
                    for column in 0..<50 {
                        let start = (plane == 0 ? 7 : 4000) + line * 50 + column
                        bytes.storeBytes(of: Self.sample(plane, line, column), toByteOffset: start, as: UInt8.self)
                    }
                }
            }
        }
        let destination = try image(strides: [64, 128], offsets: [256, 12], apart: true, shade: 0xee)
        #expect(try source.copyContent(into: destination, until: .after(Self.soon)))
        for (plane, lines) in samples {
            let (start, stride) = plane == 0 ? (256, 64) : (12, 128)
            let bytes = try destination.bytes(plane)
            for (index, byte) in bytes.enumerated() {
                let (line, column) = ((index - start) / stride, (index - start) % stride)
                let isSeen = index >= start && line < lines && column < 50
                let expected = isSeen ? Self.sample(plane, line, column) : 0xee
                guard byte == expected else {
                    Issue.record("plane \(plane), byte \(index): \(byte) for \(expected)")
                    return
                }
            }
        }
    }

    private static func sample(_ plane: Int, _ line: Int, _ column: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: plane &* 89 &+ line &* 7 &+ column &* 3 &+ 1)
    }

    @Test("bytes go part by part, and only those that are described")
    func bytes() throws {
        let source = try DescribedBuffer(
            .bytes(3_000_001), memory: ExporterBackend.open("memfd").export(.bytes(3_000_001)).memory)
        let destination = try ExporterBackend.open("memfd").export(.bytes(5_000_000))
        try source.write(0) { bytes in Pattern.fill(&bytes) }
        try destination.write(0) { bytes in
            for index in 0..<bytes.byteCount { bytes.storeBytes(of: 0xee, toByteOffset: index, as: UInt8.self) }
        }
        var parts: [Int] = []
        let isWhole = try source.copyContent(into: destination, until: .after(Self.soon)) {
            parts.append($0)
            return true
        }
        #expect(isWhole && parts.count == 3 && parts.reduce(0, +) == 3_000_001)
        let copied = try destination.bytes(0)
        #expect(copied.enumerated().allSatisfy { $1 == ($0 < 3_000_001 ? Pattern.byte(at: $0) : 0xee) })
        // Whoever has heard enough ends it.
        #expect(try source.copyContent(into: destination, until: .after(Self.soon)) { _ in false } == false)
    }

    @Test("what does not fit is refused")
    func refusals() throws {
        let image = try image(strides: [64, 64], offsets: [0, 4096], apart: false, shade: 0)
        var tiled = try #require(image.description.image)
        tiled.modifier = Modifier(rawValue: 0x0100_0000_0000_0001)
        let strange = try DescribedBuffer(
            BufferDescription(sizes: image.description.sizes, content: .image(tiled)),
            memory: ExporterBackend.open("memfd").export(.bytes(16384)).memory)
        let large = try ExporterBackend.open("memfd").export(.bytes(20000))
        let small = try ExporterBackend.open("memfd").export(.bytes(100))
        for (from, to, code) in [
            (large, small, .invalid), (image, large, .invalid), (large, image, .invalid), (image, image, .invalid),
            (strange, image, .unsupported), (image, strange, .unsupported),
        ] as [(DescribedBuffer, DescribedBuffer, DMABufError.Code)] {
            do throws(DMABufError) {
                _ = try from.copyContent(into: to, until: .after(Self.soon))
                Issue.record("it was copied")
            } catch { #expect(error.code == code, "\(error)") }
        }
    }
}

extension DescribedBuffer {
    fileprivate func write(_ index: Int, _ body: (inout MutableRawSpan) -> Void) throws {
        var mapping = try CPUImporter().attach(memory[index], for: .readWrite).map()
        try mapping.withWriteAccess(body)
    }

    fileprivate func bytes(_ index: Int) throws -> [UInt8] {
        try CPUImporter().attach(memory[index], for: .read).map().withReadAccess { bytes in
            (0..<bytes.byteCount).map { unsafe bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
        }
    }
}
