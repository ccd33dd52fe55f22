// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

struct CaptureCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capture",
        abstract: "Share a camera's frames, as a stream through a few registered buffers.",
        discussion: """
            The device fills the buffers NAME.0, NAME.1 and so on, in that order, round and round. What it has queued is \
            pinned, and has a write fence until the frame is whole. A reader's fence keeps a frame from being written over; \
            readers who keep too much make the camera drop frames, and never tear one. `play` and `display` follow \
            the stream; `watch NAME.0` shows what happens to a buffer.

            Ends on a signal, after --frames, or when the device is gone. Readers can still read what was whole.

            EXAMPLES:
              dmabuf-share capture --from v4l2:/dev/video0 --share cam0
              dmabuf-share capture --from v4l2:video0 --share cam0 --image 640x480:XR24 --frames 300
              dmabuf-share capture --from v4l2:video0 --share cam0 --exporter udmabuf --embedded
            """)

    @Option(help: ArgumentHelp("The camera: v4l2:NODE, a path or its last part.", valueName: "device"))
    var from: VideoNodeName

    @Option(
        name: .customLong("share"), help: ArgumentHelp("The stream's name. It belongs to this user.", valueName: "name")
    )
    var name: String

    @Option(
        help: ArgumentHelp(
            "Size and format: 640x480:XR24. Default: the device's size, in XR24 if it can.", valueName: "WxH:fourcc"))
    var image: ImageSize?

    @Option(
        help: """
            Whose memory: vgem[:NODE], udmabuf, heap:NAME, dumb:NODE, v4l2:NODE, gbm:NODE or vulkan[:N]. \
            Default: the device's own, which never moves.
            """)
    var exporter: ExporterName?

    @Option(help: ArgumentHelp("How many buffers, 3 to 32.", valueName: "count"))
    var buffers = 4

    @Option(help: ArgumentHelp("End after so many frames.", valueName: "count"))
    var frames: UInt64?

    @Flag(help: "Serve the registry's socket as well, for as long as this command runs.")
    var embedded = false

    @Option(help: ArgumentHelp("Let others: user:UID=RIGHTS, group:GID=RIGHTS or everyone=RIGHTS.", valueName: "share"))
    var allow: [ShareArgument] = []

    @OptionGroup var options: RegistryOptions

    func validate() throws {
        guard (3...PoolName.limit).contains(buffers) else {
            throw ValidationError(
                "A stream has 3 to \(PoolName.limit) buffers: one is read, one is whole, one is captured.")
        }
        guard frames != 0 else { throw ValidationError("Capture one frame at least.") }
    }

    func run() throws {
        if embedded {
            try serving(options, capture)
        } else {
            try asking(options, capture)
        }
    }

    private func capture(_ registry: inout RegistryConnection) throws {
        // Before anything is shared: a signal that comes later ends the stream, not the program half-way.
        let signals = try terminationSignals()
        defer { while signals.next() != nil {} }
        var queue = try VideoQueue(node: from.node, .capture)
        if case .image(let width, let height, let format) = image?.request {
            try queue.choose(width: width, height: height, format: format)
        } else {
            try queue.choose()
        }
        let (memory, isOwn) = try makeMemory(for: &queue)
        let pool = try PoolWriter(memory, named: name, fixed: isOwn, in: &registry, until: options.deadline)
        let report = StreamReport("sharing", name, queue.name, pool.buffers, memory[0])
        var stream = CaptureStream(queue, pool, patience: options.timeout.duration)
        try stream.begin(&registry)
        try stream.publish(&registry, sharedWith: allow.map(\.share))
        try emit(report, json: options.json)
        try stream.run(&registry, frames: frames, unless: signals)
        try emit(stream.end(&registry), json: options.json)
    }

    /// Memory for the frames, and whether it is the device's own.
    private func makeMemory(for queue: inout VideoQueue) throws -> ([DescribedBuffer], isOwn: Bool) {
        if exporter == nil || exporter?.text == queue.name || exporter?.text == "v4l2:\(from.node)" {
            return (try queue.exportBuffers(buffers), true)
        }
        let exporter = try ExporterBackend.open(exporter?.text ?? "")
        let made = try (0..<buffers).map { _ in try exporter.export(for: queue) }
        try queue.importBuffers(buffers)
        return (made, false)
    }
}

extension Exporter {
    /// Memory that a queue's device fills, described as the device lays it out.
    fileprivate func export(for queue: borrowing VideoQueue) throws(DMABufError) -> DescribedBuffer {
        var memory: [DMABuffer] = []
        for size in queue.sizes { memory.append(try export(.bytes(size)).memory[0]) }
        return try DescribedBuffer(
            BufferDescription(sizes: memory.map(\.byteCount), content: .image(queue.image)), memory: memory)
    }
}
