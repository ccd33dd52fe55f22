// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// While frames go from a camera to another device, their buffers move to other memory, one at a time.
@Suite(
    "Moves during a stream", .serialized, .leavesNoDescriptor,
    .requires("v4l2:video0", "v4l2:video1", "kms:card0", "screenshot"))
struct KernelStreamMoveTests {
    private var soon: Deadline { .after(.seconds(60)) }
    private let frames = OwnProcess.environment("DMABUF_SHARE_FRAMES").flatMap { Int($0) } ?? 300

    @Test("to a screen: no frame is lost, none is old, and the screen shows the new memory")
    func screen() throws {
        let importer = try KMSImporter(node: "card0")
        var screen = try Screen(on: importer)
        var shown: Int?
        // In the memory that a buffer has now: what is kept of the old cannot be let go of.
        var pictures: [Int: (inode: UInt64, picture: Picture)] = [:]
        try stream { frame, reader, registry, hasMoved in
            let inode = frame.buffer.memory[0].inode
            let kept = pictures[frame.index].flatMap { $0.inode == inode ? $0.picture : nil }
            let picture = if let kept { kept } else { try Picture(of: frame.buffer, on: importer) }
            pictures[frame.index] = (inode, picture)
            if screen.picture == nil {
                try screen.show(picture, until: soon)
            } else {
                _ = try screen.flip(to: picture)
                try screen.waitForFlip(until: soon)
            }
            if hasMoved { #expect(try ScreenPicture.take() == ScreenPicture(of: frame.buffer)) }
            if let shown { try reader.letGo(shown, &registry, until: soon) }
            shown = frame.index
        }
    }

    @Test("to a video output: no frame is lost, none is old")
    func output() throws {
        var queue = try VideoQueue(node: "video1", .output)
        try queue.choose(width: 640, height: 480, format: .xrgb8888)
        try queue.importBuffers(4)
        try stream { frame, reader, registry, _ in
            try queue.queue(frame.index, frame.buffer, until: soon)
            while queue.queuedCount > 1, let done = try queue.dequeue(until: soon) {
                try reader.letGo(done.index, &registry, until: soon)
            }
        }
        try queue.end()
    }

    /// The camera's frames, each with whether it is the first in new memory.
    private func stream(
        _ show: (PoolReader.Frame, inout PoolReader, inout RegistryConnection, Bool) throws -> Void
    ) throws {
        let registry = try RunningRegistry()
        var camera = try Camera(registry)
        try camera.publish()
        var consumer = try RegistryConnection(at: registry.socket, until: soon)
        consumer.answersWithin = .seconds(60)
        var reader = try PoolReader("cam", pins: true, in: &consumer, until: soon)
        var mover = Mover(registry)
        var read: [Checksum] = []
        var followed = 0
        while read.count < frames {
            try camera.step()
            while let frame = try reader.take(&consumer, until: .now()) {
                let hasMoved = mover.isNew(frame.attached)
                if hasMoved { followed += 1 }
                read.append(try frame.buffer.stamp())
                try show(frame, &reader, &consumer, hasMoved)
            }
            try reader.renew(&consumer, until: soon)
            try mover.step(wanted: (read.count + 50) / 100)
        }
        let written = camera.written
        #expect(Set(written).count == written.count, "the camera paints the same twice")
        #expect(read.prefix(frames) == written.prefix(frames))
        // Of the last it is not known yet.
        #expect(
            mover.moved >= frames / 100 - 1 && followed >= mover.moved - 1, "\(mover.moved) moves, \(followed) seen")
        print("\(read.count) frames, \(mover.moved) moves, \(mover.refused) refused, \(camera.dropped) dropped")
        mover.end()
        try reader.detach(&consumer, until: soon)
        try camera.end()
        _ = try registry.stop()
    }
}

/// vivid and a pool of four, whose frames are known by what it paints into them.
private struct Camera: ~Copyable {
    private var registry: RegistryConnection
    private var queue: VideoQueue
    private var pool: PoolWriter
    /// In the generation that the camera has.
    private var buffers: [DescribedBuffer]
    private(set) var written: [Checksum] = []
    private(set) var dropped: UInt32 = 0
    private var sequence: UInt32?

    init(_ running: borrowing RunningRegistry) throws {
        var registry = try RegistryConnection(at: running.socket, until: .after(.seconds(20)))
        var queue = try VideoQueue(node: "video0", .capture)
        try queue.choose(width: 640, height: 480, format: .xrgb8888)
        try queue.importBuffers(4)
        let exporter = try ExporterBackend.open(Backends.realExporters[0])
        let (size, image) = (queue.sizes[0], queue.image)
        let buffers = try (0..<4).map { _ in
            let memory = try exporter.export(.bytes(size)).memory[0]
            return try DescribedBuffer(
                BufferDescription(sizes: [memory.byteCount], content: .image(image)), memory: [memory])
        }
        let pool = try PoolWriter(buffers, named: "cam", fixed: false, in: &registry, until: .after(.seconds(20)))
        self.registry = registry
        self.queue = queue
        self.pool = pool
        self.buffers = buffers
    }

    mutating func publish() throws {
        try refill()
        try pool.publish(&registry, until: .after(.seconds(20)))
    }

    /// Until a frame is whole. What readers have let go of meanwhile it takes back, and not earlier: a camera has more to do.
    mutating func step() throws {
        try refill()
        let frame = try #require(try queue.dequeue(until: .after(.seconds(60))))
        #expect(pool.finish() == frame.index)
        // On a machine that has no time for it, vivid may give a number twice.
        if let sequence, frame.sequence > sequence { dropped += frame.sequence - sequence - 1 }
        sequence = frame.sequence
        written.append(try buffers[frame.index].stamp())
        try refill()
        try pool.announce(&registry, until: .after(.seconds(20)))
        try pool.renew(&registry, until: .after(.seconds(20)))
    }

    private mutating func refill() throws {
        while true {
            let index = pool.next
            guard let buffer = try pool.take(&registry, until: .after(.seconds(20))) else { return }
            buffers[index] = buffer
            try queue.queue(index, buffer, until: .after(.seconds(20)))
        }
    }

    consuming func end() throws {
        try queue.end()
        try pool.end(&registry, until: .after(.seconds(20)))
    }
}

/// Asks for moves from a process of its own, again and again where it is refused.
private struct Mover: ~Copyable {
    private let socket: String
    private var running: Running?
    private var generations: [BufferID: Generation] = [:]
    private(set) var moved = 0
    private(set) var refused = 0

    init(_ registry: borrowing RunningRegistry) { socket = registry.socket }

    /// One buffer after the other, so many in all.
    mutating func step(wanted: Int) throws {
        if running?.isThere == true { return }
        if let run = try running.take()?.finish() {
            let isRefused = run.status == 4 && (run.errors.contains("pinned") || run.errors.contains("locked"))
            #expect(run.status == 0 || isRefused, "\(run)")
            if run.status == 0 { moved += 1 } else { refused += 1 }
        }
        guard moved < wanted else { return }
        let targets = Backends.realExporters.filter { !$0.hasPrefix("dumb:") }
        running = try Running(
            [
                Tool.path, "move", "cam.\(moved % 4)", "--to", targets[(moved + 1) % targets.count], "--wait", "30",
            ],
            environment: ["DMABUF_SHARE_SOCKET": socket])
    }

    /// Whether it is memory that the buffer has moved to since it was last asked.
    mutating func isNew(_ attached: AttachedBuffer) -> Bool {
        let before = generations.updateValue(attached.generation, forKey: attached.id)
        return before != nil && before != attached.generation
    }

    consuming func end() {}
}
