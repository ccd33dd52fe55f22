// SPDX-License-Identifier: Apache-2.0

import DMABufModel
public import DMABufSystem
import SystemPackage

// In and out.

extension VideoQueue {
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
                try node.queue(
                    index, type, memory, DescriptorList(), byteCounts: byteCounts, count: sizes.count)
            }
        } catch {
            throw explain(error, slots[index].imported?.buffer)
        }
    }

    private func explain(_ error: Errno, _ buffer: DescribedBuffer?) -> DMABufError {
        let whose = buffer.map { "memory of \($0.memory[0].exporterName)" } ?? "its own memory"
        switch error {
        case .badAddress: return .scattered(name, buffer?.memory[0].exporterName ?? name, cause: error)
        default:
            return .device(
                "\(name): queue \(whose)", error, node,
                remedy: "the kernel's log may say what its driver misses: dmesg | tail")
        }
    }

    private mutating func start() throws(DMABufError) {
        guard !isStreaming else { return }
        let (node, name, type) = (node, name, type)
        do throws(DMABufError) {
            try node.asking("\(name): start the stream") { () throws(Errno) in try node.streamOn(type) }
        } catch {
            // It gives back what was queued also where nothing streams.
            try? node.streamOff(type)
            for index in slots.indices { slots[index].isQueued = false }
            throw error
        }
        isStreaming = true
    }

    /// The next buffer that the device is done with; nil at the deadline, as soon as `stop` is readable, and where nothing
    /// is queued.
    ///
    /// Throws `gone` when the device went away. The corresponding ioctl is `VIDIOC_DQBUF`.
    public mutating func dequeue(
        until deadline: Deadline, unless stop: borrowing Descriptor
    ) throws(DMABufError) -> VideoFrame? {
        let (node, type) = (node, type)
        return try dequeue { () throws(Errno) in try node.wait(type, until: deadline, unless: stop) }
    }

    /// As above, with nothing else that ends the wait.
    public mutating func dequeue(until deadline: Deadline) throws(DMABufError) -> VideoFrame? {
        let (node, type) = (node, type)
        return try dequeue { () throws(Errno) in try node.wait(type, until: deadline) }
    }

    private mutating func dequeue(_ isReady: () throws(Errno) -> Bool) throws(DMABufError) -> VideoFrame? {
        guard queuedCount > 0, let memory else { return nil }
        do throws(Errno) {
            while try isReady() {
                guard let done = try node.dequeue(type, memory) else { continue }
                return take(done)
            }
            return nil
        } catch { throw .device("\(name): take a buffer back", error, node) }
    }

    private mutating func take(_ done: V4L2.Dequeued) -> VideoFrame {
        slots[done.index].isQueued = false
        return VideoFrame(
            index: done.index, sequence: done.sequence, timestamp: Deadline(nanoseconds: done.timestamp),
            isDamaged: done.isDamaged)
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
        memory.map(\.memoryNumber) == other.memory.map(\.memoryNumber)
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
