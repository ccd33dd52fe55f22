// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

/// A queue of a video device: buffers go in, are filled or shown, and come out in the same order. Device `/dev/videoN`,
/// usually of group video. One at a time owns the queue of a node; its end stops the stream and lets all buffers go.
///
/// Rule: *Nothing is queued before its fences have ended.* V4L2 ignores the reservation of a dma-buf: it would fill a
/// buffer that is still read, and show one that is still written. So ``queue(_:_:after:until:)`` waits first, for the
/// kernel's reservation and for what else it is given.
///
/// Rule: *What is queued cannot move.* The driver has it mapped and follows nobody; whoever shares the buffer says so, by
/// pinning it for as long as ``isQueued(_:)``.
///
/// The corresponding kernel name is `struct vb2_queue`.
public struct VideoQueue: ~Copyable, Sendable {
    public enum Direction: Sendable {
        /// The device fills buffers.
        case capture
        /// The device takes buffers.
        case output

        /// What the device does to a buffer.
        public var access: Access { self == .capture ? .write : .read }

        var verb: String { self == .capture ? "capture" : "output" }
    }

    /// "v4l2:video0".
    public let name: String
    public let direction: Direction
    /// Where every line of a frame is; see ``choose(width:height:format:)`` and ``adopt(_:)``.
    public internal(set) var image: ImageLayout
    /// Bytes that each memory of a buffer must have.
    public internal(set) var sizes: [UInt64]
    /// Whether the device reaches only memory in one piece; nil where that is not known.
    private var needsContiguous: Bool?
    /// Where the memory comes from, once there are buffers.
    var memory: V4L2.Memory?
    var slots: [Slot] = []
    var isStreaming = false
    let node: V4L2Node
    let type: V4L2.BufferType

    struct Slot {
        var imported: ImportedMemory?
        var isQueued = false
    }

    /// Opens a node, "video0" or a path, and takes the format that it has.
    ///
    /// Throws `unavailable` if it cannot be opened, `unsupported` if it has no such queue.
    public init(node path: String, _ direction: Direction) throws(DMABufError) {
        let node = try V4L2Node.opening(path)
        let name = "v4l2:\(node.name)"
        guard let type = node.type(for: direction) else {
            throw DMABufError(
                .unsupported, "\(name): \(node.capabilities.driver) does not \(direction.verb) frames",
                remedy: "choose another node: `dmabuf-share devices` lists them")
        }
        let format = try node.asking("\(name): ask for its format") { () throws(Errno) in try node.format(of: type) }
        self.node = node
        self.name = name
        self.direction = direction
        self.type = type
        (image, sizes) = (format.anyImage, format.sizes)
    }

    /// What every buffer must be like.
    public var requirements: Requirements {
        var image = ImageRequirements(formats: FormatSet(linear: [image.fourcc]))
        image.layout = self.image
        return Requirements(
            party: name, device: node.path, traits: needsContiguous == true ? .contiguous : [], leastSize: sizes.max(),
            image: image)
    }

    /// Throws `gone` if the device was unbound from its driver or unplugged. Whoever has nothing to queue or to dequeue for
    /// a while learns of it here. The corresponding ioctl is `VIDIOC_QUERYCAP`.
    public func checkDevice() throws(DMABufError) { try node.checkIsThere() }

    // MARK: Buffers

    public var count: Int { slots.count }
    public var queuedCount: Int { slots.count { $0.isQueued } }
    public func isQueued(_ index: Int) -> Bool { slots[index].isQueued }

    /// Makes room for buffers of others' memory. From here on the format stays, until ``end()``.
    ///
    /// Throws `failed` with `resourceBusy` if another program has the queue.
    public mutating func importBuffers(_ count: Int) throws(DMABufError) {
        needsContiguous = node.needsContiguous(type)
        try request(count, .dmaBuf)
    }

    /// Has the device make buffers, and exports them. Their memory is the device's own, and the only one that the queue
    /// takes from here on.
    public mutating func exportBuffers(_ count: Int) throws(DMABufError) -> [DescribedBuffer] {
        try request(count, .mmap)
        var made: [DescribedBuffer] = []
        let (node, name, type) = (node, name, type)
        for index in slots.indices {
            var memory: [DMABuffer] = []
            for part in sizes.indices {
                let descriptor = try node.asking("\(name): export buffer \(index)") { () throws(Errno) in
                    try node.exportBuffer(index, memory: part, type)
                }
                memory.append(try DMABuffer(adopting: descriptor))
            }
            let description = BufferDescription(sizes: memory.map(\.byteCount), content: .image(image))
            made.append(try DescribedBuffer(description, memory: memory))
        }
        return made
    }

    private mutating func request(_ count: Int, _ memory: V4L2.Memory) throws(DMABufError) {
        let (node, name, type) = (node, name, type)
        let found = try node.asking(
            "\(name): ask for \(count) buffers", remedy: "another program may use the device: stop it first"
        ) { () throws(Errno) in try node.requestBuffers(count, type, memory) }
        self.memory = memory
        slots = [Slot](repeating: Slot(), count: found)
    }

    // MARK: End

    /// Stops the stream: what was queued is the caller's again, with whatever is in it.
    public mutating func stop() throws(DMABufError) {
        guard isStreaming else { return }
        let (node, name, type) = (node, name, type)
        try node.asking("\(name): stop the stream") { () throws(Errno) in try node.streamOff(type) }
        isStreaming = false
        for index in slots.indices { slots[index].isQueued = false }
    }

    /// Stops, and lets all buffers go; the queue is free for others. So is it at the end of the value.
    public consuming func end() throws(DMABufError) {
        try stop()
        let (node, name, type) = (node, name, type)
        _ = try node.asking("\(name): let its buffers go") { () throws(Errno) in
            try node.requestBuffers(0, type, memory ?? .dmaBuf)
        }
    }
}
