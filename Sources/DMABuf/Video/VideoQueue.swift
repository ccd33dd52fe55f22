// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
public import DMABufSystem
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
    public private(set) var image: ImageLayout
    /// Bytes that each memory of a buffer must have.
    public private(set) var sizes: [UInt64]
    /// Whether the device reaches only memory in one piece; nil where that is not known.
    private var needsContiguous: Bool?
    /// Where the memory comes from, once there are buffers.
    private var memory: V4L2.Memory?
    private var slots: [Slot] = []
    private var isStreaming = false
    let node: V4L2Node
    let type: V4L2.BufferType

    private struct Slot {
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
        let format = try attempting("\(name): ask for its format") { () throws(Errno) in try node.format(of: type) }
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

    // MARK: Format

    /// The formats that the device offers and descriptions can say, its preferred first.
    public var formats: [PixelFormat] {
        var found: [PixelFormat] = []
        for code in node.formats(of: type) {
            guard let format = VideoFormat.drm(code).flatMap({ PixelFormat(fourcc: $0) }), !found.contains(format)
            else {
                continue
            }
            found.append(format)
        }
        return found
    }

    /// Sets the size and the format of frames. What is nil the device chooses, and XR24 before others, which every display
    /// shows.
    ///
    /// Throws `refused` where the device would make something else of it, saying what.
    public mutating func choose(
        width: UInt32? = nil, height: UInt32? = nil, format: PixelFormat? = nil
    ) throws(DMABufError) {
        let offered = formats
        let wanted = format ?? (offered.contains(.xrgb8888) ? .xrgb8888 : offered.first)
        guard let wanted, offered.contains(wanted) else {
            throw DMABufError(
                .refused, "\(name) does not offer \(format?.text ?? "any format that can be described")",
                remedy: offered.isEmpty ? nil : "choose one of \(offered.map(\.text).joined(separator: ", "))")
        }
        let wish = ImageLayout(
            width: width ?? image.width, height: height ?? image.height, fourcc: wanted.fourcc, modifier: .linear,
            planes: [])
        try set(wish, strides: [])
        guard (image.width, image.height, image.fourcc) == (wish.width, wish.height, wish.fourcc) else {
            throw DMABufError(
                .refused, "\(name) does not take \(wish.words); it would take \(image.words)",
                remedy: "choose what it would take")
        }
    }

    /// Sets the format to that of a buffer, stride and all.
    ///
    /// Throws `refused` for what the device does not take: which requirement, and what would do.
    public mutating func adopt(_ buffer: DescribedBuffer) throws(DMABufError) {
        guard let image = buffer.description.image else {
            throw DMABufError(.refused, "\(name) takes images, and the buffer is described as bytes")
        }
        var strides = [UInt32](repeating: 0, count: buffer.memory.count)
        for plane in image.planes.reversed() { strides[plane.memory] = plane.stride }
        try set(image, strides: strides)
        try check(buffer)
    }

    private mutating func set(_ image: ImageLayout, strides: [UInt32]) throws(DMABufError) {
        let memories = max(strides.count, 1)
        let codes = VideoFormat.video(image.fourcc, memories: memories)
        let offered = node.formats(of: type)
        guard let code = codes.first(where: offered.contains) else {
            throw DMABufError(
                .refused,
                "\(name) does not offer \(PixelFormat.text(of: image.fourcc))\(memories > 1 ? " in \(memories) memories" : "")",
                remedy: "choose one of \(formats.map(\.text).joined(separator: ", "))")
        }
        let wish = V4L2.Format(
            type, width: image.width, height: image.height, fourcc: code,
            memories: (0..<memories).map { V4L2.Format.Memory(stride: strides.isEmpty ? 0 : strides[$0]) })
        let (node, name) = (node, name)
        let format = try attempting(
            "\(name): set its format to \(image.words)",
            remedy: "another program may use the device: stop it first"
        ) { () throws(Errno) in try node.setFormat(wish) }
        (self.image, sizes) = (format.anyImage, format.sizes)
    }

    /// Throws `refused` for a buffer that does not meet the requirements.
    private func check(_ buffer: DescribedBuffer) throws(DMABufError) {
        var requirements = requirements
        var unmet = requirements.unmet(by: buffer.description)
        for (index, memory) in buffer.memory.enumerated() {
            requirements.leastSize = index < sizes.count ? sizes[index] : nil
            unmet += requirements.unmet(by: memory.facts)
        }
        if let refusal = DMABufError(refusing: unmet) { throw refusal }
    }

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
                let descriptor = try attempting("\(name): export buffer \(index)") { () throws(Errno) in
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
        let found = try attempting(
            "\(name): ask for \(count) buffers", remedy: "another program may use the device: stop it first"
        ) { () throws(Errno) in try node.requestBuffers(count, type, memory) }
        self.memory = memory
        slots = [Slot](repeating: Slot(), count: found)
    }

    // MARK: Queueing

    /// Waits until nobody is in the way of what the device will do, and hands the buffer to the driver. `buffer` is the
    /// memory for an imported one, the same as before or another; nil for the device's own, or for the same as before.
    ///
    /// Throws `refused` for a buffer that does not fit, `deadline` naming who was waited for, and what the driver says in
    /// words. Nothing was queued then. The corresponding ioctl is `VIDIOC_QBUF`.
    public mutating func queue(
        _ index: Int, _ buffer: DescribedBuffer? = nil, after fences: [Fence] = [], until deadline: Deadline
    ) throws(DMABufError) {
        guard let memory, slots.indices.contains(index), !slots[index].isQueued else {
            throw DMABufError(.invalid, "\(name): there is no buffer \(index) to queue")
        }
        if let buffer, slots[index].imported?.buffer.isSameMemory(as: buffer) != true {
            if memory == .dmaBuf { try check(buffer) }
            slots[index].imported = try ImportedMemory(buffer)
        }
        guard memory == .mmap || slots[index].imported != nil else {
            throw DMABufError(.invalid, "\(name): buffer \(index) has no memory yet")
        }
        try wait(for: slots[index].imported?.buffer, fences, index, until: deadline)
        try hand(index, memory)
        slots[index].isQueued = true
        try start()
    }

    private func wait(
        for buffer: DescribedBuffer?, _ fences: [Fence], _ index: Int, until deadline: Deadline
    ) throws(DMABufError) {
        do throws(DMABufError) {
            for fence in fences { try fence.wait(until: deadline) }
            for memory in buffer?.memory ?? [] {
                try memory.waitForKernelFences(before: direction.access, until: deadline)
            }
        } catch {
            guard error.code == .deadline else { throw error }
            throw DMABufError(
                .deadline, "\(name): buffer \(index) is still used: \(error.message)", cause: error.cause,
                remedy: error.remedy)
        }
    }

    private mutating func hand(_ index: Int, _ memory: V4L2.Memory) throws(DMABufError) {
        let byteCounts = direction == .output ? sizes.map { Int($0) } : []
        do throws(Errno) {
            if memory == .dmaBuf, let imported = slots[index].imported {
                try node.queue(index, type, memory, imported.descriptors, byteCounts: byteCounts)
            } else {
                try node.queue(index, type, memory, DescriptorList(), byteCounts: byteCounts)
            }
        } catch {
            throw explain(error, slots[index].imported?.buffer)
        }
    }

    private func explain(_ error: Errno, _ buffer: DescribedBuffer?) -> DMABufError {
        let whose = buffer.map { "memory of \($0.memory[0].exporterName)" } ?? "its own memory"
        switch error {
        case .badAddress: return .scattered(name, buffer?.memory[0].exporterName ?? name, cause: error)
        case .operationNotSupportedByDevice: return DMABufError(.gone, "\(name) has gone away", cause: error)
        default:
            return .system(
                "\(name): queue \(whose)", error,
                remedy: "the kernel's log may say what its driver misses: dmesg | tail")
        }
    }

    private mutating func start() throws(DMABufError) {
        guard !isStreaming else { return }
        let (node, name, type) = (node, name, type)
        try attempting("\(name): start the stream") { () throws(Errno) in try node.streamOn(type) }
        isStreaming = true
    }

    /// The next buffer that the device is done with; nil at the deadline, as soon as `stop` is readable, and where nothing
    /// is queued.
    ///
    /// Throws `gone` when the device went away. The corresponding ioctl is `VIDIOC_DQBUF`.
    public mutating func dequeue(
        until deadline: Deadline, unless stop: borrowing Descriptor
    ) throws(DMABufError) -> VideoFrame? {
        guard queuedCount > 0, let memory else { return nil }
        do throws(Errno) {
            while try node.wait(type, until: deadline, unless: stop) {
                guard let done = try node.dequeue(type, memory) else { continue }
                return take(done)
            }
            return nil
        } catch { throw explain(dequeueing: error) }
    }

    /// As above, with nothing else that ends the wait.
    public mutating func dequeue(until deadline: Deadline) throws(DMABufError) -> VideoFrame? {
        guard queuedCount > 0, let memory else { return nil }
        do throws(Errno) {
            while try node.wait(type, until: deadline) {
                guard let done = try node.dequeue(type, memory) else { continue }
                return take(done)
            }
            return nil
        } catch { throw explain(dequeueing: error) }
    }

    private mutating func take(_ done: V4L2.Dequeued) -> VideoFrame {
        slots[done.index].isQueued = false
        return VideoFrame(
            index: done.index, sequence: done.sequence, timestamp: Deadline(nanoseconds: done.timestamp),
            isDamaged: done.isDamaged)
    }

    private func explain(dequeueing error: Errno) -> DMABufError {
        error == .operationNotSupportedByDevice
            ? DMABufError(.gone, "\(name) has gone away", cause: error) : .system("\(name): take a buffer back", error)
    }

    // MARK: End

    /// Stops the stream: what was queued is the caller's again, with whatever is in it.
    public mutating func stop() throws(DMABufError) {
        guard isStreaming else { return }
        let (node, name, type) = (node, name, type)
        try attempting("\(name): stop the stream") { () throws(Errno) in try node.streamOff(type) }
        isStreaming = false
        for index in slots.indices { slots[index].isQueued = false }
    }

    /// Stops, and lets all buffers go; the queue is free for others. So is it at the end of the value.
    public consuming func end() throws(DMABufError) {
        try stop()
        let (node, name, type) = (node, name, type)
        _ = try attempting("\(name): let its buffers go") { () throws(Errno) in
            try node.requestBuffers(0, type, memory ?? .dmaBuf)
        }
    }
}

/// A buffer that the device is done with.
public struct VideoFrame: Equatable, Sendable {
    /// Which buffer of the queue.
    public let index: Int
    /// The device's count of frames; a gap says how many it dropped.
    public let sequence: UInt32
    /// When the frame was taken, as the driver sees it.
    public let timestamp: Deadline
    /// The device could not fill or show it well.
    public let isDamaged: Bool
}

/// The memory of one buffer of a queue, with descriptors to hand over.
final class ImportedMemory: Sendable {
    let buffer: DescribedBuffer
    let descriptors: DescriptorList

    init(_ buffer: DescribedBuffer) throws(DMABufError) {
        var list = DescriptorList()
        for memory in buffer.memory { list.append(try memory.duplicateDescriptor()) }
        self.buffer = buffer
        descriptors = list
    }
}

extension DescribedBuffer {
    fileprivate func isSameMemory(as other: DescribedBuffer) -> Bool {
        memory.map(\.inode) == other.memory.map(\.inode)
    }
}

extension V4L2.Format {
    /// What the driver says, and where that cannot be described, its size at least.
    fileprivate var anyImage: ImageLayout {
        image ?? ImageLayout(width: width, height: height, fourcc: fourcc, modifier: .linear, planes: [])
    }
}

extension DMABufError {
    /// What EFAULT means where a device was asked for memory of which nobody knows whether it is in one piece.
    static func scattered(_ party: String, _ exporter: String, cause: Errno) -> DMABufError {
        let unmet = Unmet(party: party, .contiguous(exporter: exporter))
        return DMABufError(
            .refused,
            "\(party): the device cannot reach memory of \(exporter): most likely it needs physically contiguous memory, and "
                + "this is scattered", cause: cause, remedy: unmet.remedy)
    }
}
