// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

@Suite("Requirements")
struct RequirementsTests {
    private let udmabuf = MemoryFacts(exporter: "udmabuf", isStandIn: false, byteCount: 65536)

    private static let limits = Dictionary(
        uniqueKeysWithValues: ["XR24", "RG16"].map { (PixelFormat($0)!.fourcc, UInt32(8192)) })

    private let screen = Requirements(
        party: "kms:card0", device: "/dev/dri/card0",
        image: ImageRequirements(
            formats: FormatSet(linear: [PixelFormat.xrgb8888.fourcc]), widths: 1...2044, heights: 1...1024,
            strideAlignment: 64, strideLimits: Self.limits, offsetAlignment: 4096,
            memoryLimit: 1))

    private func image(
        _ format: String = "XR24", width: UInt32 = 640, height: UInt32 = 480, modifier: Modifier = .linear,
        stride: UInt32 = 2560, offset: UInt64 = 0, memories: Int = 1
    ) -> BufferDescription {
        BufferDescription(
            sizes: Array(repeating: 1 << 24, count: memories),
            content: .image(
                ImageLayout(
                    width: width, height: height, fourcc: PixelFormat(format)!.fourcc, modifier: modifier,
                    planes: [ImageLayout.Plane(memory: 0, offset: offset, stride: stride)])))
    }

    @Test func whatFitsMeetsAll() {
        #expect(screen.unmet(by: udmabuf).isEmpty)
        #expect(screen.unmet(by: image()).isEmpty)
        #expect(Requirements(party: "cpu", takesStandIns: true).unmet(by: BufferDescription.bytes(1)).isEmpty)
    }

    /// Each requirement alone: what is said, and what would do.
    @Test func eachIsExplainedWithItsRemedy() {
        let cases: [(BufferDescription, String, String)] = [
            (.bytes(4096), "plain bytes", "a format"),
            (image("RG16"), "format RG16, but XR24", "as XR24"),
            (image(modifier: Modifier(rawValue: 1 << 56)), "modifier 0x100000000000000, but linear", "linear"),
            (image(width: 2048, stride: 8192), "2048 pixels wide, and 1 to 2044", "scale"),
            (image(height: 1025), "1025 pixels high, and 1 to 1024", "scale"),
            (image(stride: 2564), "stride of 2564 bytes, which is no multiple of 64; 2624 would do", "2624"),
            (image(stride: 8256), "stride of 8256 bytes, and at most 8192 are taken; 2560 would do", "2560"),
            (image(offset: 2048), "starts at byte 2048, which is no multiple of 4096", "4096"),
            (image(memories: 2), "lies in 2 dma-bufs, and at most 1", "one dma-buf"),
        ]
        for (description, sentence, remedy) in cases {
            let unmet = screen.unmet(by: description)
            #expect(unmet.count == 1, "\(unmet)")
            #expect(unmet.first?.party == "kms:card0")
            #expect(unmet.first?.description.contains(sentence) == true, "\(unmet)")
            #expect(unmet.first?.remedy.contains(remedy) == true, "\(unmet.map(\.remedy))")
        }
    }

    @Test func allThatIsUnmetIsSaid() {
        #expect(screen.unmet(by: image("RG16", width: 4096, stride: 16388, offset: 1)).count == 5)
    }

    @Test func memoryIsComparedByWhatIsKnownOfIt() {
        let standIn = MemoryFacts(exporter: "memfd", isStandIn: true, byteCount: 4096)
        #expect(screen.unmet(by: standIn).map(\.requirement) == [.dmaBuf])

        let video = Requirements(party: "v4l2:video0", traits: .contiguous, sizeLimit: 1 << 20)
        #expect(video.unmet(by: udmabuf).map(\.requirement) == [.contiguous(exporter: "udmabuf")])
        #expect(video.unmet(by: udmabuf)[0].description.contains("contiguous"))
        for (exporter, byteCount, fits) in [
            ("videobuf2_dma_contig", 65536, true), ("reserved", 65536, true), ("vgem", 4096, true),
            ("a driver of tomorrow", 65536, true), ("system", 8192, false), ("system", 2 << 20, false),
        ] as [(String, UInt64, Bool)] {
            let facts = MemoryFacts(exporter: exporter, isStandIn: false, byteCount: byteCount)
            #expect(video.unmet(by: facts).isEmpty == fits, "\(exporter) \(byteCount)")
        }
        let large = MemoryFacts(exporter: "reserved", isStandIn: false, byteCount: 1 << 20 | 1)
        #expect(video.unmet(by: large).map(\.requirement) == [.size(byteCount: 1 << 20 | 1, limit: 1 << 20)])
    }

    /// A device that was told what will come takes nothing else.
    @Test func oneLayoutIsTakenOnceItIsAgreed() throws {
        let planes = [
            ImageLayout.Plane(memory: 0, offset: 0, stride: 64), ImageLayout.Plane(memory: 0, offset: 2048, stride: 64),
        ]
        let agreed = ImageLayout(
            width: 64, height: 32, fourcc: PixelFormat("NV12")!.fourcc, modifier: .linear, planes: planes)
        var image = ImageRequirements(formats: FormatSet(linear: [agreed.fourcc]))
        image.layout = agreed
        let camera = Requirements(party: "v4l2:video0", leastSize: 3072, image: image)
        func unmet(_ change: (inout ImageLayout) -> Void) -> [Unmet] {
            var other = agreed
            change(&other)
            return camera.unmet(by: BufferDescription(sizes: [4096, 4096], content: .image(other)))
        }
        #expect(unmet { _ in }.isEmpty)
        let cases: [([Unmet], String, String)] = [
            (unmet { $0.width = 62 }, "is set to 64x32 NV12, and the buffer is 62x32 NV12", "64x32 NV12"),
            (unmet { $0.planes[1].memory = 1 }, "the buffer is 64x32 NV12 in 2 dma-bufs", "as 64x32 NV12"),
            (
                unmet { $0.planes[1].stride = 128 }, "plane 1 has a stride of 128 bytes, and it is set to 64",
                "of 64 bytes"
            ),
            (unmet { $0.planes[1].offset = 4096 }, "starts at byte 4096, and it is set to byte 2048", "at byte 2048"),
            (
                camera.unmet(by: MemoryFacts(exporter: "system", isStandIn: false, byteCount: 3071)),
                "a frame takes 3072 bytes, and the buffer has 3071", "3072 bytes or more"
            ),
        ]
        for (unmet, sentence, remedy) in cases {
            #expect(unmet.count == 1, "\(unmet)")
            #expect(unmet.first?.description.contains(sentence) == true, "\(unmet)")
            #expect(unmet.first?.remedy.contains(remedy) == true, "\(unmet.map(\.remedy))")
        }
        #expect(camera.unmet(by: MemoryFacts(exporter: "system", isStandIn: false, byteCount: 3072)).isEmpty)
    }

    @Test func anOriginNamesWhoWouldDo() {
        let picky = Requirements(
            party: "drm:card2",
            origin: Requirements.Origin(exporters: ["virtio_gpu"], reason: "it has no blob resources"))
        #expect(picky.unmet(by: MemoryFacts(exporter: "virtio_gpu", isStandIn: false, byteCount: 1)).isEmpty)
        let unmet = picky.unmet(by: udmabuf)
        #expect(unmet.first?.description.contains("virtio_gpu only, not of udmabuf: it has no blob resources") == true)
        #expect(unmet.first?.remedy == "export from virtio_gpu")
        let none = Requirements(
            party: "drm:card3", origin: Requirements.Origin(exporters: [], reason: "no PRIME"))
        #expect(none.unmet(by: udmabuf).first?.description == "it imports no dma-bufs: no PRIME")
    }

    @Test func formatSetsMeet() {
        let tiled = Modifier(rawValue: 2)
        let first = FormatSet([1: [.linear, tiled], 2: [.linear]])
        let second = FormatSet([1: [tiled], 2: [tiled], 3: [.linear]])
        #expect(first.intersection(second) == FormatSet([1: [tiled]]))
        #expect(first.modifiers(of: 1) == [.linear, tiled])
        #expect(first.fourccs == [1, 2])
        #expect(FormatSet.anyLinear.contains(PixelFormat.xrgb8888.fourcc, .linear))
    }
}
