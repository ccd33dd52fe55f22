// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// vivid's frames through the registry, from one process to others.
@Suite("capture and play", .serialized, .leavesNoDescriptor, .requires("v4l2:video0", "v4l2:video1"))
struct KernelCaptureTests {
    private static let exporters = Backends.realExporters + ["v4l2:video0"]

    @Test("frames go from a camera to an output, in memory of every exporter", arguments: exporters)
    func through(exporter: String) throws {
        let registry = try RunningRegistry()
        let capture = try registry.start(
            "capture", "--from", "v4l2:video0", "--share", "cam0", "--image", "640x480:XR24", "--exporter", exporter,
            "--timeout", "60")
        try registry.waitForStream()
        let play = try registry.run(
            "play", "cam0", "--into", "v4l2:video1", "--frames", "12", "--json", "--timeout", "60")
        #expect(play.status == 0, "\(play)")
        #expect(play.output.contains(#""event":"started""#) && play.output.contains(#""frames":12"#), "\(play)")
        try capture.send(.terminate)
        let run = try capture.finish()
        #expect(run.status == 0 && run.output.contains("captured "), "\(run)")
        // Nothing is left.
        try wait { try registry.run("list", "--json").output.contains(#""buffers":[]"#) }
        _ = try registry.stop()
    }

    @Test("what the camera has is pinned, and says so; without --exporter it is the camera's own memory")
    func pinned() throws {
        let registry = try RunningRegistry()
        let capture = try registry.start("capture", "--from", "v4l2:/dev/video0", "--share", "cam0")
        try registry.waitForStream()
        let move = try registry.run("move", "cam0.1", "--to", "memfd")
        #expect(move.status == 4 && move.errors.contains("pinned by attachment"), "\(move)")
        try capture.send(.interrupt)
        let run = try capture.finish()
        #expect(run.status == 0 && run.output.contains("videobuf2"), "\(run)")
        _ = try registry.stop()
    }

    @Test("a buffer moves between two frames, and the stream goes on in the new memory")
    func moving() throws {
        let registry = try RunningRegistry()
        let (exporter, other) = (Backends.realExporters[0], Backends.realExporters[1])
        let capture = try registry.start(
            "capture", "--from", "v4l2:video0", "--share", "cam0", "--exporter", exporter, "--timeout", "60")
        try registry.waitForStream()
        // It is the camera's most of the time, and for a frame or two nobody's.
        let end = Deadline.after(.seconds(90))
        var move = try registry.run("move", "cam0", "--to", other)
        while move.status == 4, move.errors.contains("pinned") || move.errors.contains("locked"), !end.hasPassed {
            move = try registry.run("move", "cam0", "--to", other)
        }
        #expect(move.status == 0, "\(move)")
        // The producer has followed, round and round, and so does who comes later.
        let play = try registry.run("play", "cam0", "--into", "v4l2:video1", "--frames", "12", "--timeout", "60")
        #expect(play.status == 0, "\(play)")
        let shown = try registry.run("show", "cam0", "--json").output
        #expect(shown.contains("\"generation\":2"), "\(shown)")
        let waited = try registry.run("fence", "wait", "cam0")
        #expect(waited.status == 0, "\(waited)")
        try capture.send(.terminate)
        let run = try capture.finish()
        #expect(run.status == 0, "\(run)")
        _ = try registry.stop()
    }

    @Test("a capture that is killed ends its player with a clear error, and one that ends well ends it well")
    func killed() throws {
        for dies in [true, false] {
            let registry = try RunningRegistry()
            let capture = try registry.start(
                "capture", "--from", "v4l2:video0", "--share", "cam0", "--timeout", "60")
            try registry.waitForStream()
            let play = try registry.start("play", "cam0", "--into", "v4l2:video1", "--timeout", "60")
            try wait { try registry.run("show", "cam0.0", "--json").output.contains(#""attachments":2"#) }
            try capture.send(dies ? .kill : .terminate)
            _ = try capture.finish()
            let run = try play.finish()
            #expect(run.status == (dies ? 1 : 0), "\(run)")
            #expect(run.errors.contains("has died") == dies, "\(run)")
            // Both devices are free.
            let again = try registry.run("capture", "--from", "v4l2:video0", "--share", "cam1", "--frames", "2")
            #expect(again.status == 0, "\(again)")
            _ = try registry.stop()
        }
    }

    @Test("a reader of whom only the kernel knows holds up its own buffer, and not the camera's process")
    func foreign() throws {
        let registry = try RunningRegistry()
        let capture = try registry.start(
            "capture", "--from", "v4l2:video0", "--share", "cam0", "--exporter", Backends.realExporters[0],
            "--timeout", "5")
        try registry.waitForStream()
        var reader = try RegistryConnection(at: registry.socket, until: .after(.seconds(20)))
        let attached = try reader.attach("cam0.1", AttachTerms(.read), until: .after(.seconds(20)))
        let other = try OtherBuffer()
        let work = try VGEM.attachFence(to: other.gem, write: true)
        try attached.buffer.memory[0].add(#require(try other.memory.fence(waitingBefore: .write)), as: .read)
        // Longer than it waits for anybody.
        Clock.sleep(.seconds(6))
        let isThere = capture.isThere
        #expect(isThere)
        try work.signal()
        let play = try registry.run("play", "cam0", "--into", "v4l2:video1", "--frames", "8", "--timeout", "60")
        #expect(play.status == 0, "\(play)")
        try capture.send(.terminate)
        let run = try capture.finish()
        #expect(run.status == 0, "\(run)")
        _ = try registry.stop()
    }

    @Test("a reader that dies with a frame holds nobody up")
    func reader() throws {
        let registry = try RunningRegistry()
        let capture = try registry.start(
            "capture", "--from", "v4l2:video0", "--share", "cam0", "--frames", "40", "--timeout", "60")
        try registry.waitForStream()
        let play = try registry.start("play", "cam0", "--into", "v4l2:video1", "--timeout", "60")
        try wait { try registry.run("show", "cam0.0", "--json").output.contains(#""attachments":2"#) }
        try play.send(.kill)
        _ = try play.finish()
        let run = try capture.finish()
        #expect(run.status == 0 && run.output.contains("captured 40 frames"), "\(run)")
        _ = try registry.stop()
    }

    @Test("--embedded serves the stream by itself")
    func embedded() throws {
        let folder = try TemporaryFolder.make()
        let run = try Running(
            [
                Tool.path, "capture", "--from", "v4l2:video0", "--share", "cam0", "--frames", "3", "--embedded",
                "--json",
            ], environment: ["DMABUF_SHARE_SOCKET": "\(folder)/registry.sock"]
        ).finish()
        TemporaryFolder.remove(folder)
        #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
        let events = run.output.split(separator: "\n").map { $0.contains("started") ? 0 : $0.contains("ended") ? 1 : 2 }
        #expect(events == [0, 1], "\(run)")
        #expect(run.output.contains("\"frames\":3"), "\(run)")
    }

    @Test("what cannot be is refused with its own status, and in words")
    func refusals() throws {
        let registry = try RunningRegistry()
        let cases: [(arguments: [String], status: Int32, words: String)] = [
            (["capture", "--from", "v4l2:video1", "--share", "x"], 2, "does not capture"),
            (["capture", "--from", "v4l2:video987", "--share", "x"], 2, "No such file"),
            (["capture", "--from", "v4l2:video0", "--share", "x", "--image", "641x333:XR24"], 4, "it would take"),
            (
                ["capture", "--from", "v4l2:video0", "--share", "x", "--image", "640x480:GR32"], 4,
                "does not offer GR32"
            ),
            (["capture", "--from", "v4l2:video0", "--share", "x", "--exporter", "memfd"], 4, "no dma-buf"),
            (["capture", "--from", "video0", "--share", "x"], 64, "v4l2:NODE"),
            (["capture", "--from", "v4l2:video0", "--share", "x", "--buffers", "2"], 64, "3 to 32"),
            (["play", "nothing", "--into", "v4l2:video1"], 4, "no stream"),
        ]
        for (arguments, status, words) in cases {
            let run = try Running(
                [Tool.path] + arguments, environment: ["DMABUF_SHARE_SOCKET": registry.socket]
            ).finish()
            #expect(run.status == status && run.errors.contains(words), "\(arguments): \(run)")
        }
        let alone = try Tool.run(
            "capture", "--from", "v4l2:video0", "--share", "x", "--socket", "/nonexistent/registry.sock")
        #expect(alone.status == 3, "\(alone)")
        _ = try registry.stop()
    }
}

/// Every frame of a stream, known by what the camera has painted into it: the time and its number.
@Suite("Three hundred frames", .serialized, .leavesNoDescriptor, .requires("v4l2:video0"))
struct KernelFrameTests {
    private let limit = Duration.seconds(60)
    private let frames = OwnProcess.environment("DMABUF_SHARE_FRAMES").flatMap { Int($0) } ?? 300

    @Test("go through four buffers: none is lost, none is old, and nothing grows")
    func all() throws {
        let registry = try RunningRegistry()
        var producer = try RegistryConnection(at: registry.socket, until: .after(limit))
        var consumer = try RegistryConnection(at: registry.socket, until: .after(limit))
        consumer.answersWithin = limit
        var queue = try VideoQueue(node: "video0", .capture)
        try queue.choose(width: 640, height: 480, format: .xrgb8888)
        try queue.importBuffers(4)
        let exporter = try ExporterBackend.open(Backends.realExporters[0])
        let memory = try (0..<4).map { _ in
            let made = try exporter.export(.bytes(queue.sizes[0])).memory[0]
            return try DescribedBuffer(
                BufferDescription(sizes: [made.byteCount], content: .image(queue.image)), memory: [made])
        }
        var pool = try PoolWriter(memory, named: "cam", fixed: false, in: &producer, until: .after(limit))
        try refill(&pool, &queue, &producer)
        try pool.publish(&producer, until: .after(limit))
        var reader = try PoolReader("cam", pins: false, in: &consumer, until: .after(limit))

        var written: [Checksum] = []
        var read: [Checksum] = []
        var flat: [Counts] = []
        while read.count < frames {
            let frame = try #require(try queue.dequeue(until: .after(limit)))
            #expect(pool.finish() == frame.index)
            written.append(try memory[frame.index].stamp())
            try refill(&pool, &queue, &producer)
            try pool.announce(&producer, until: .after(limit))
            while let frame = try reader.take(&consumer, until: .now()) {
                read.append(try frame.buffer.stamp())
                try reader.letGo(frame.index, &consumer, until: .after(limit))
                try refill(&pool, &queue, &producer)
            }
            if read.count % 100 == 50 { flat.append(Counts()) }
        }
        #expect(Set(written).count == written.count, "the camera paints the same twice")
        #expect(read.prefix(frames) == written.prefix(frames))
        #expect(flat.count >= 3 && flat.allSatisfy { $0 == flat[0] }, "\(flat)")
        try queue.end()
        try reader.detach(&consumer, until: .after(limit))
        try pool.end(&producer, until: .after(limit))
        _ = try registry.stop()
    }

    private func refill(
        _ pool: inout PoolWriter, _ queue: inout VideoQueue, _ registry: inout RegistryConnection
    ) throws {
        while true {
            let index = pool.next
            guard let buffer = try pool.take(&registry, until: .after(limit)) else { return }
            try queue.queue(index, buffer, until: .after(limit))
        }
    }

    /// What would grow if something were kept.
    private struct Counts: Equatable {
        let descriptors = openDescriptors().count
        let dmaBufs = Machine.dmaBufCount
    }
}

extension DescribedBuffer {
    /// Of the second line of text, where vivid writes the time and the number of the frame.
    func stamp() throws -> Checksum {
        let mapping = try CPUImporter().attach(memory[0], for: .read).map()
        return try mapping.withReadAccess { bytes in
            var checksum = Checksum()
            checksum.add(bytes.extracting(16 * 2560..<32 * 2560))
            return checksum
        }
    }
}

extension RunningRegistry {
    /// Until a stream can be found.
    borrowing func waitForStream() throws {
        let deadline = Deadline.after(.seconds(60))
        while try run("show", "cam0").status != 0 {
            if deadline.hasPassed { throw Errno.timedOut }
            Clock.sleep(.milliseconds(20))
        }
    }
}
