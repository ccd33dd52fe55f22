// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// What a screen cannot show is said before anything is tried: which requirement, whose, and what would do.
@Suite("What is not shown", .leavesNoDescriptor, .requires("kms:card0", "vgem"))
struct KernelDisplayRefusalTests {
    private func refusal(_ buffer: DescribedBuffer, on node: String = "card0") throws -> String {
        do throws(DMABufError) {
            _ = try Picture(of: buffer, on: KMSImporter(node: node))
            Issue.record("it was taken")
            return ""
        } catch {
            #expect(error.code == .refused && error.cause == nil, "\(error)")
            return error.message
        }
    }

    /// Lines of that many bytes, in memory that has room for them.
    private func image(
        _ format: String, _ width: UInt32, _ height: UInt32, stride: UInt32, modifier: Modifier = .linear
    ) throws -> DescribedBuffer {
        let memory = try Backends.bytes(UInt64(stride) * UInt64(height), from: "vgem")
        let fourcc = try #require(PixelFormat(format)).fourcc
        let layout = ImageLayout(
            width: width, height: height, fourcc: fourcc, modifier: modifier,
            planes: [.init(memory: 0, offset: 0, stride: stride)])
        return try DescribedBuffer(
            BufferDescription(sizes: [memory.byteCount], content: .image(layout)), memory: [memory])
    }

    @Test func aStrideThatIsWrong() throws {
        #expect(
            try refusal(image("XR24", 640, 480, stride: 2564))
                == "kms:card0: plane 0 has a stride of 2564 bytes, which is no multiple of 8; 2568 would do")
        #expect(
            try refusal(image("RG16", 640, 480, stride: 8192))
                == "kms:card0: plane 0 has a stride of 8192 bytes, and at most 4088 are taken; 1280 would do")
    }

    @Test func anImageThatIsTooLarge() throws {
        #expect(
            try refusal(image("XR24", 4096, 16, stride: 16384)).hasPrefix(
                "kms:card0: the image is 4096 pixels wide, and "))
    }

    @Test func aFormatOrAModifierThatItDoesNotRead() throws {
        #expect(
            try refusal(image("XB30", 640, 480, stride: 2560)).hasPrefix(
                "kms:card0: it does not take format XB30, but "))
        let modifier = Modifier(rawValue: 0x0100_0000_0000_0001)
        #expect(
            try refusal(image("XR24", 640, 480, stride: 2560, modifier: modifier)).hasSuffix(
                "with modifier 0x100000000000001, but linear"))
    }

    @Test func whatIsNoImage() throws {
        let bytes = try ExporterBackend.open("vgem").export(.bytes(4096))
        #expect(try refusal(bytes).hasPrefix("kms:card0: it takes images, and "))
        let standIn = try ExporterBackend.open("memfd").export(TestImage.request)
        #expect(try refusal(standIn).hasPrefix("kms:card0: a memfd is no dma-buf"))
    }

    @Test func aDeviceThatImportsNothingForeign() throws {
        let image = try ExporterBackend.open("vgem").export(TestImage.request)
        #expect(
            try refusal(image, on: "card2")
                == "kms:card2: it imports dma-bufs of virtio_gpu only, not of drm: virtio_gpu imports foreign dma-bufs "
                + "only with blob resources, which this device has not")
    }

    @Test("its own buffers a device shows") func own() throws {
        let limit = Deadline.after(.seconds(60))
        let importer = try KMSImporter(node: "card2")
        var screen = try Screen(on: importer)
        for number in 0..<3 {
            let picture = try Picture(of: TestImage(number).buffer(from: "dumb:card2"), on: importer)
            if screen.picture == nil { try screen.show(picture, until: limit) }
            let end = try screen.flip(to: picture)
            try screen.waitForFlip(until: limit)
            #expect(try end.wait(until: limit) == .signalled)
        }
    }

    /// Strides that are not refused are shown as they are.
    @Test(
        "what is shown is what was written", .requires("screenshot"), arguments: [2560, 2568, 4096, 8192] as [UInt32])
    func strides(stride: UInt32) throws {
        let limit = Deadline.after(.seconds(60))
        let importer = try KMSImporter(node: "card0")
        let buffer = try image("XR24", 640, 480, stride: stride)
        let content = TestImage(Int(stride))
        try content.paint(buffer)
        if importer.driver == "cirrus-qemu", stride > 4088 {
            return #expect(try refusal(buffer).contains("at most 4088"))
        }
        var screen = try Screen(on: importer)
        try screen.show(Picture(of: buffer, on: importer), until: limit)
        #expect(try ScreenPicture.take() == content.picture)
    }

    @Test func aSizeThatTheScreenHasNot() throws {
        let importer = try KMSImporter(node: "card0")
        var screen = try Screen(on: importer)
        let picture = try Picture(of: image("XR24", 200, 100, stride: 800), on: importer)
        do throws(DMABufError) {
            try screen.show(picture, until: .after(.seconds(5)))
            Issue.record("it was shown")
        } catch {
            let name = screen.name
            #expect(error.code == .refused && error.message == "kms:card0: \(name) shows no 200x100 pixels")
            #expect(error.remedy?.contains("640x480") == true)
        }
    }
}
