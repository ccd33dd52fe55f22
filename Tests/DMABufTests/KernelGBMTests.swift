// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

/// Memory that Mesa allocates on a display driver: in the guest, by its renderer for the CPU.
@Suite("GBM", .leavesNoDescriptor, .requires("gbm:card0"))
struct KernelGBMTests {
    @Test("makes an image that is zeroed, and that the CPU may write")
    func image() throws {
        let exporter = try ExporterBackend.open("gbm:card0")
        let made = try exporter.export(.image(width: 640, height: 480, format: .xrgb8888))
        let image = try #require(made.description.image)
        #expect(image.modifier == .linear && image.planes.count == 1 && image.planes[0].stride >= 2560)
        var mapping = try CPUImporter().attach(made.memory[0], for: .readWrite).map()
        let checksum = try mapping.withReadAccess { Checksum(of: $0) }
        #expect(checksum == Checksum(zeros: Int(made.memory[0].byteCount)))
        try mapping.withWriteAccess { Pattern.fill(&$0) }
        let again = try CPUImporter().attach(made.memory[0], for: .read).map()
        #expect(
            try again.withReadAccess { Checksum(of: $0) } == Pattern.checksum(byteCount: Int(made.memory[0].byteCount)))
    }

    @Test("makes what other drivers take", .requires("vulkan:0", "udmabuf"))
    func taken() throws {
        let made = try ExporterBackend.open("gbm:card0").export(.image(width: 640, height: 480, format: .xrgb8888))
        for name in ["kms:card0", "drm:card0", "drm:card1", "vulkan:0"] {
            try ImporterBackend.open(name).attach(made.memory[0], for: .read).detach()
        }
        _ = try Picture(of: made, on: KMSImporter(node: "card0"))
        let source = try ExporterBackend.open("udmabuf").export(.image(width: 640, height: 480, format: .xrgb8888))
        let gpu = try GPU()
        try gpu.copy(gpu.attach(source), to: gpu.attach(made))?.wait(until: .after(.seconds(10)))
    }

    @Test("makes bytes, and images of formats that its driver has not", arguments: ["NV12", "RG16", "YU12"])
    func others(format: String) throws {
        let exporter = try ExporterBackend.open("gbm:card0")
        #expect(try exporter.export(.bytes(100_000)).memory[0].byteCount >= 100_000)
        let made = try exporter.export(.image(width: 63, height: 31, format: #require(PixelFormat(format))))
        try made.description.check(realSizes: made.memory.map(\.byteCount))
    }

    @Test func whatIsNoNodeIsSaid() {
        for name in ["gbm", "gbm:", "gbm:card987", "gbm:/dev/null"] {
            #expect(throws: DMABufError.self) { _ = try ExporterBackend.open(name) }
        }
    }
}

extension Checksum {
    fileprivate init(of bytes: RawSpan) {
        self.init()
        add(bytes)
    }

    fileprivate init(zeros count: Int) {
        self.init()
        for _ in 0..<count { add(0 as UInt8) }
    }
}
