// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

/// A camera's frames on a screen and in a video output, each in a process of its own; nothing is copied on the way.
@Suite(
    "capture to display", .serialized, .leavesNoDescriptor,
    .requires("v4l2:video0", "v4l2:video1", "kms:card0", "screenshot"))
struct KernelChainTests {
    private let limit = Deadline.after(.seconds(240))
    private static let exporters = Backends.realExporters.filter { $0 != "dumb:card2" } + ["v4l2:video0"]

    @Test("what was captured is on the screen, pixel by pixel, and then every frame after it", arguments: exporters)
    func shown(exporter: String) throws {
        let registry = try RunningRegistry()
        let capture = try registry.start(
            "capture", "--from", "v4l2:video0", "--share", "cam0", "--image", "640x480:XR24", "--exporter", exporter,
            "--timeout", "60")
        try registry.waitForStream()
        var client = try RegistryConnection(at: registry.socket, until: limit)
        let pool = try (0..<4).map { try client.attach("cam0.\($0)", AttachTerms(.read), until: limit) }
        let display = try RunningDisplay(
            registry, "cam0", "--on", "kms:card0", "--frames", "20", "--within", "60", "--json", holding: true)
        let screen = try ScreenPicture.take()
        // The camera paints the time and the frame's number into each: one buffer is it, and no other.
        let pictures = try pool.map { try ScreenPicture(of: $0.buffer) }
        #expect(pictures.count { $0 == screen } == 1, "\(exporter)")
        for member in pool { try client.ask(.detach(member.attachment), until: limit) }
        try display.goOn()
        let run = try display.finish()
        #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
        #expect(run.output.contains(#""event":"ended","frames":20"#), "\(run)")
        try capture.send(.terminate)
        #expect(try capture.finish().status == 0)
        _ = try registry.stop()
    }

    @Test("a link that is killed ends what depends on it, with a clear error, and nothing else")
    func killed() throws {
        let registry = try RunningRegistry()
        let capture = try registry.start(
            "capture", "--from", "v4l2:video0", "--share", "cam0", "--image", "640x480:XR24", "--buffers", "6",
            "--timeout", "60")
        try registry.waitForStream()
        let first = try RunningDisplay(registry, "cam0", "--on", "kms:card0", "--within", "60")
        let play = try registry.start("play", "cam0", "--into", "v4l2:video1", "--timeout", "60")
        try wait { try registry.run("show", "cam0.0", "--json").output.contains(#""attachments":3"#) }
        // A reader: the others go on, and its place on the screen is free.
        try first.send(.kill)
        _ = try first.finish()
        let second = try RunningDisplay(registry, "cam0", "--on", "kms:card0", "--frames", "5", "--within", "60")
        #expect(try second.finish().status == 0)
        // The source: its readers say so.
        let third = try RunningDisplay(registry, "cam0", "--on", "kms:card0", "--within", "60")
        try capture.send(.kill)
        _ = try capture.finish()
        for run in [try third.finish(), try play.finish()] {
            #expect(run.status == 1 && run.errors.contains("has died"), "\(run)")
        }
        _ = try registry.stop()
    }
}

extension ScreenPicture {
    /// What a screen shows of XR24.
    fileprivate init(of buffer: DescribedBuffer) throws {
        let image = try #require(buffer.description.image)
        let (width, height) = (Int(image.width), Int(image.height))
        let (offset, stride) = (Int(image.planes[0].offset), Int(image.planes[0].stride))
        let mapping = try CPUImporter().attach(buffer.memory[0], for: .read).map()
        let bytes = try mapping.withReadAccess(within: .seconds(10)) { bytes in
            let bytes = Span<UInt8>(_bytes: bytes)
            var colours: [UInt8] = []
            colours.reserveCapacity(width * height * 3)
            for y in 0..<height {
                for x in 0..<width {
                    let pixel = offset + y * stride + 4 * x
                    for colour in 0..<3 { colours.append(bytes[pixel + 2 - colour]) }
                }
            }
            return colours
        }
        self.init(width: width, height: height, bytes: bytes)
    }
}
