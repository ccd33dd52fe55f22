// SPDX-License-Identifier: Apache-2.0

import DMABufModel
public import DMABufSystem

extension GPU {
    /// Copies one buffer into another: an image of the same size and format, or bytes that have room there. Returns the
    /// fence of the copy, or nil if it is done already.
    ///
    /// Rule: *work waits for what it would disturb, and is waited for.* It begins after `fence`, after whoever writes the
    /// source and whoever uses the destination, as the kernel's reservations have it; and its own fence goes into both, as
    /// a reader's and as a writer's, so that every driver obeys it.
    ///
    /// Throws `invalid` if the content does not fit; `deadline` if this process had to wait and did so in vain.
    @discardableResult
    public func copy(
        _ source: GPUBuffer, to destination: GPUBuffer, after fence: Fence? = nil,
        until deadline: Deadline = .after(.seconds(10))
    ) throws(DMABufError) -> Fence? {
        let command = try command(copying: source, to: destination)
        // Its holder may add fences before it signals: those count.
        if let fence, fence.kind != .syncFile { try fence.wait(until: deadline) }
        let before = try standing(until: deadline) { () throws(DMABufError) in
            let before = try source.buffer.fence(waitingBefore: .read, and: fence.merging)
            return try destination.buffer.fence(waitingBefore: .write, and: before)
        }
        guard let done = try submit(command, after: before, until: deadline) else { return nil }
        return try tell(done) { () throws(DMABufError) in
            for memory in source.buffer.memory { try memory.add(done, as: .read) }
            for memory in destination.buffer.memory { try memory.add(done, as: .write) }
        }
    }

    /// Makes every four bytes of a buffer `word`, after whoever uses it. Returns the fence of the work, or nil if it is done.
    @discardableResult
    public func fill(
        _ memory: DMABuffer, with word: UInt32, until deadline: Deadline = .after(.seconds(10))
    ) throws(DMABufError) -> Fence? {
        try VulkanImporter(self).check(memory)
        let before = try standing(until: deadline) { () throws(DMABufError) in
            try memory.fenceIfKnown(waitingBefore: .write)
        }
        guard let done = try submit(.fill(try attachBytes(memory), with: word), after: before, until: deadline)
        else { return nil }
        return try tell(done) { () throws(DMABufError) in try memory.add(done, as: .write) }
    }

    /// The fences that stand when work is submitted. Where this process has to wait for them, others may add some meanwhile:
    /// it looks again until none is pending.
    private func standing(
        until deadline: Deadline, _ look: () throws(DMABufError) -> Fence?
    ) throws(DMABufError) -> Fence? {
        var found = try look()
        while waitsItself, let pending = found, try pending.status() == .pending {
            try pending.wait(until: deadline)
            found = try look()
        }
        return found
    }

    private func command(
        copying source: GPUBuffer, to destination: GPUBuffer
    ) throws(DMABufError) -> VulkanCommand {
        guard source.importer == name, destination.importer == name else {
            throw DMABufError(.invalid, "\(name): both buffers must be attached to it first")
        }
        try source.buffer.checkCopy(into: destination.buffer, by: name)
        switch (source.place, destination.place) {
        case (.image(let from), .image(let to)):
            guard let planes = source.buffer.description.image?.extents else { break }
            return .copyImage(from, to: to, planes: planes)
        case (.bytes(let from), .bytes(let to)):
            // What is not copied as an image is copied as it lies.
            guard source.buffer.description.content == destination.buffer.description.content else { break }
            return .copyBuffer(from, to: to, byteCount: min(source.buffer.description.byteCount, to.byteCount))
        default: break
        }
        throw DMABufError(
            .unsupported, "\(name): does not know how these images lie, and lines lie differently in the two",
            remedy: "make both with the same strides, or in a format that it knows")
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
