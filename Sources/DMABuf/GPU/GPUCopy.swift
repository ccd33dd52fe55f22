// SPDX-License-Identifier: Apache-2.0

import DMABufModel
public import DMABufSystem

extension GPU {
    /// Copies one buffer into another of the same size and format, or as many bytes as both have. Returns the fence of the
    /// copy, or nil if it is done already.
    ///
    /// Rule: *work waits for what it would disturb, and is waited for.* It begins after `fence`, after whoever writes the
    /// source and whoever uses the destination, as the kernel's reservations have it; and its own fence goes into both, as
    /// a reader's and as a writer's, so that every driver obeys it.
    ///
    /// Throws `invalid` if the two do not match; `deadline` if this process had to wait and did so in vain.
    @discardableResult
    public func copy(
        _ source: GPUBuffer, to destination: GPUBuffer, after fence: Fence? = nil,
        until deadline: Deadline = .after(.seconds(10))
    ) throws(DMABufError) -> Fence? {
        let command = try command(copying: source, to: destination)
        var before = try source.buffer.fence(waitingBefore: .read, and: fence.merging)
        before = try destination.buffer.fence(waitingBefore: .write, and: before)
        if let fence, fence.kind != .syncFile { try fence.wait(until: deadline) }
        let done = try submit(command, after: before, until: deadline)
        if let done {
            for memory in source.buffer.memory { try memory.add(done, as: .read) }
            for memory in destination.buffer.memory { try memory.add(done, as: .write) }
        }
        return done
    }

    /// Makes every four bytes of a buffer `word`, after whoever uses it. Returns the fence of the work, or nil if it is done.
    @discardableResult
    public func fill(
        _ memory: DMABuffer, with word: UInt32, until deadline: Deadline = .after(.seconds(10))
    ) throws(DMABufError) -> Fence? {
        try VulkanImporter(self).check(memory)
        let before = try memory.fenceIfKnown(waitingBefore: .write)
        let done = try submit(.fill(try attachBytes(memory), with: word), after: before, until: deadline)
        if let done { try memory.add(done, as: .write) }
        return done
    }

    private func command(
        copying source: GPUBuffer, to destination: GPUBuffer
    ) throws(DMABufError) -> VulkanCommand {
        guard source.importer == name, destination.importer == name else {
            throw DMABufError(.invalid, "\(name): both buffers must be attached to it first")
        }
        let inodes = Set(source.buffer.memory.map(\.inode))
        guard inodes.isDisjoint(with: destination.buffer.memory.map(\.inode)) else {
            throw DMABufError(.invalid, "\(name): a buffer is not copied into itself")
        }
        switch (source.place, destination.place) {
        case (.image(let from), .image(let to)):
            guard let planes = source.buffer.description.image?.extents,
                (from.shape.width, from.shape.height) == (to.shape.width, to.shape.height),
                from.shape.fourcc == to.shape.fourcc
            else { throw mismatch(source, destination) }
            return .copyImage(from, to: to, planes: planes)
        case (.bytes(let from), .bytes(let to)):
            guard source.buffer.description.content == destination.buffer.description.content else {
                throw mismatch(source, destination)
            }
            return .copyBuffer(from, to: to, byteCount: min(from.byteCount, to.byteCount))
        default: throw mismatch(source, destination)
        }
    }

    private func mismatch(_ source: GPUBuffer, _ destination: GPUBuffer) -> DMABufError {
        DMABufError(
            .invalid,
            "\(name): \(source.buffer.description.content.summary) cannot be copied into "
                + destination.buffer.description.content.summary,
            remedy: "make the destination as large, and of the same format")
    }
}

extension Fence? {
    /// What can be merged with the fences of a reservation.
    fileprivate var merging: Fence? { self?.kind == .syncFile ? self : nil }
}

extension ImageLayout {
    /// The extent of each plane of the format, in samples; nil for a format whose shape is not known.
    fileprivate var extents: [VulkanCommand.Extent]? {
        format?.planes.map { plane in
            VulkanCommand.Extent(
                width: (width + plane.horizontal - 1) / plane.horizontal, height: plane.lineCount(height: height))
        }
    }
}

extension BufferDescription.Content {
    /// For a message: "640x480 XR24", "plain bytes".
    fileprivate var summary: String {
        switch self {
        case .bytes: "plain bytes"
        case .image(let image):
            "\(image.width)x\(image.height) \(PixelFormat.text(of: image.fourcc))"
        }
    }
}
