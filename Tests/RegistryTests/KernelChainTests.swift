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

    @Test("hundreds of frames go through four buffers to the screen, each once, and nothing grows")
    func flat() throws {
        let frames = OwnProcess.environment("DMABUF_SHARE_FRAMES").flatMap { Int($0) } ?? 300
        let registry = try RunningRegistry()
        let capture = try registry.start(
            "capture", "--from", "v4l2:video0", "--share", "cam0", "--image", "640x480:XR24", "--exporter",
            Backends.realExporters[0], "--timeout", "60")
        try registry.waitForStream()
        let display = try RunningDisplay(
            registry, "cam0", "--on", "kms:card0", "--frames", "\(frames)", "--within", "60", "--json")
        var seen: [Holdings] = []
        while let next = Holdings(of: [display.processID, capture.processID]) {
            seen.append(next)
            Clock.sleep(.milliseconds(100))
        }
        let run = try display.finish()
        #expect(run.status == 0 && run.output.contains("\"event\":\"ended\",\"frames\":\(frames)"), "\(run)")
        try capture.send(.terminate)
        #expect(try capture.finish().status == 0)
        // The first pictures are still taken in; from then on the later half has no more of anything than the earlier.
        let steady = seen.dropFirst(seen.count / 5).dropLast()
        #expect(steady.count >= 10, "\(seen)")
        #expect(steady.allSatisfy { $0.dmaBufs >= 4 && $0.framebuffers >= 1 }, "what is counted is not seen: \(seen)")
        let (early, late) = (steady.prefix(steady.count / 2), steady.suffix(steady.count / 2))
        for (what, value) in Holdings.all {
            let (before, after) = (early.map(value).max() ?? 0, late.map(value).max() ?? 0)
            // A fence or two may be under way at any moment.
            #expect(after <= before + (what == "descriptors" ? 2 : 0), "\(what): \(before), then \(after)")
        }
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
        // A reader: the others go on, and its place is free.
        let killsDisplay = Bool.random()
        print("first of all the \(killsDisplay ? "display" : "player") is killed")
        try killsDisplay ? first.send(.kill) : play.send(.kill)
        while killsDisplay ? first.isThere : play.isThere { Clock.sleep(.milliseconds(20)) }
        let again =
            killsDisplay
            ? try registry.run("display", "cam0", "--on", "kms:card0", "--frames", "5", "--within", "60")
            : try registry.run("play", "cam0", "--into", "v4l2:video1", "--frames", "5", "--timeout", "60")
        #expect(again.status == 0, "\(again)")
        // The source: its readers say so.
        try capture.send(.kill)
        _ = try capture.finish()
        for (run, wasKilled) in [(try first.finish(), killsDisplay), (try play.finish(), !killsDisplay)] {
            #expect(wasKilled || run.status == 1 && run.errors.contains("has died"), "\(run)")
        }
        _ = try registry.stop()
    }
}

/// What would grow if something were kept.
private struct Holdings {
    let descriptors: Int
    let dmaBufs: Int
    let framebuffers: Int

    /// nil once one of the processes has ended.
    init?(of processes: [Int32]) {
        let open = processes.map { openDescriptors(of: $0).count }
        guard !open.contains(0) else { return nil }
        descriptors = open.reduce(0, +)
        dmaBufs = Machine.dmaBufCount
        framebuffers = Self.lines(with: "framebuffer[", in: "dri/0/framebuffer")
    }

    private static func lines(with text: String, in file: String) -> Int {
        (Sysfs.text("/sys/kernel/debug/\(file)") ?? "").split(separator: "\n").count { $0.contains(text) }
    }

    static var all: [(String, (Holdings) -> Int)] {
        [("descriptors", { $0.descriptors }), ("dma-bufs", { $0.dmaBufs }), ("framebuffers", { $0.framebuffers })]
    }
}

extension ScreenPicture {
    /// What a screen shows of XR24.
    init(of buffer: DescribedBuffer) throws {
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
