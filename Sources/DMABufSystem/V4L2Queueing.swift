// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

// A buffer's way through a queue: queued, then dequeued in the same order. What is queued is the driver's alone: it maps,
// fills or shows the memory when it likes, and asks no reservation.

extension V4L2 {
    /// A buffer that the driver is done with.
    public struct Dequeued: Equatable, Sendable {
        public let index: Int
        /// Counts frames; a gap says that the driver dropped some.
        public let sequence: UInt32
        /// When the frame began or ended, in nanoseconds of `CLOCK_MONOTONIC`.
        public let timestamp: UInt64
        /// Bytes that were written or read, for each memory.
        public let byteCounts: [Int]
        /// The driver could not fill or show it well: `V4L2_BUF_FLAG_ERROR`.
        public let isDamaged: Bool
    }
}

extension V4L2Node {
    /// Hands a buffer to the driver. `memories` are the dma-bufs of an imported one, which the driver attaches and maps; it
    /// borrows their descriptors. `byteCounts` says how much of each is a frame, where the driver takes frames. `count` is how
    /// many memories the format has: of the driver's own no descriptor tells.
    ///
    /// Throws `invalidArgument` for memory that is no dma-buf or too small, `badAddress` for one that the device cannot map.
    /// The corresponding ioctl is `VIDIOC_QBUF`.
    public func queue(
        _ index: Int, _ type: V4L2.BufferType, _ memory: V4L2.Memory, _ memories: borrowing DescriptorList,
        byteCounts: [Int] = [], count: Int = 1
    ) throws(Errno) {
        var planes = Planes(memories, byteCounts, count: count)
        try exchange(dmabuf_ioctl_v4l2_qbuf, index, type, memory, &planes)
    }

    /// Attaches and maps the dma-bufs of an imported buffer, and queues nothing. Errors as above.
    ///
    /// The corresponding ioctl is `VIDIOC_PREPARE_BUF`.
    public func prepare(
        _ index: Int, _ type: V4L2.BufferType, _ memories: borrowing DescriptorList, byteCounts: [Int] = []
    ) throws(Errno) {
        var planes = Planes(memories, byteCounts)
        try exchange(dmabuf_ioctl_v4l2_prepare_buf, index, type, .dmaBuf, &planes)
    }

    /// The next buffer that the driver is done with, or nil if there is none yet. It does not wait.
    ///
    /// The corresponding ioctl is `VIDIOC_DQBUF`.
    public func dequeue(_ type: V4L2.BufferType, _ memory: V4L2.Memory) throws(Errno) -> V4L2.Dequeued? {
        var planes = Planes()
        do throws(Errno) {
            return try exchange(dmabuf_ioctl_v4l2_dqbuf, 0, type, memory, &planes)
        } catch {
            guard error == .resourceTemporarilyUnavailable else { throw error }
            return nil
        }
    }

    /// The driver begins with what is queued. The corresponding ioctl is `VIDIOC_STREAMON`.
    public func streamOn(_ type: V4L2.BufferType) throws(Errno) {
        try switchStream(dmabuf_ioctl_v4l2_streamon, type)
    }

    /// The driver stops, and all that was queued is the caller's again. The corresponding ioctl is `VIDIOC_STREAMOFF`.
    public func streamOff(_ type: V4L2.BufferType) throws(Errno) {
        try switchStream(dmabuf_ioctl_v4l2_streamoff, type)
    }

    private func switchStream(_ ioctlNumber: UInt, _ type: V4L2.BufferType) throws(Errno) {
        var value = CInt(bitPattern: type.rawValue)
        let number = descriptor.number
        try nothingOrErrno { unsafe ioctl(number, ioctlNumber, &value) }
    }

    @discardableResult
    private func exchange(
        _ ioctlNumber: UInt, _ index: Int, _ type: V4L2.BufferType, _ memory: V4L2.Memory, _ planes: inout Planes
    ) throws(Errno) -> V4L2.Dequeued {
        var request = unsafe v4l2_buffer()
        unsafe request.index = UInt32(index)
        unsafe request.type = type.rawValue
        unsafe request.memory = memory.rawValue
        unsafe request.field = type.isOutput ? 1 : 0  // V4L2_FIELD_NONE
        let number = descriptor.number
        guard type.isMultiplanar else {
            unsafe request.m.fd = planes[0].m.fd
            unsafe request.length = planes[0].length
            unsafe request.bytesused = planes[0].bytesused
            try nothingOrErrno { unsafe ioctl(number, ioctlNumber, &request) }
            return unsafe V4L2.Dequeued(request, byteCounts: [Int(request.bytesused)])
        }
        unsafe request.length = UInt32(planes.count)
        try nothingOrErrno {
            unsafe withUnsafeMutableBytes(of: &planes.all) { space in
                unsafe request.m.planes = space.baseAddress!.assumingMemoryBound(to: v4l2_plane.self)
                return unsafe ioctl(number, ioctlNumber, &request)
            }
        }
        let count = unsafe min(Int(request.length), V4L2.memoryLimit)
        return unsafe V4L2.Dequeued(request, byteCounts: (0..<count).map { Int(planes.all[$0].bytesused) })
    }
}

/// The memories of a buffer, as both kinds of queue are told of them.
private struct Planes: ~Copyable {
    var all = InlineArray<8, v4l2_plane>(repeating: v4l2_plane())
    private(set) var count = V4L2.memoryLimit

    init() {}

    init(_ memories: borrowing DescriptorList, _ byteCounts: [Int], count: Int = 1) {
        self.count = min(max(memories.count, count), V4L2.memoryLimit)
        for index in 0..<min(memories.count, V4L2.memoryLimit) { unsafe all[index].m.fd = memories.number(at: index) }
        for (index, bytes) in byteCounts.prefix(V4L2.memoryLimit).enumerated() {
            all[index].bytesused = UInt32(bytes)
            // What is imported has no more than it is said to have.
            all[index].length = UInt32(bytes)
        }
    }

    subscript(_ index: Int) -> v4l2_plane { all[index] }
}

extension V4L2.Dequeued {
    fileprivate init(_ buffer: v4l2_buffer, byteCounts: [Int]) {
        unsafe self.init(
            index: Int(buffer.index), sequence: buffer.sequence,
            timestamp: UInt64(buffer.timestamp.tv_sec) * 1_000_000_000 + UInt64(buffer.timestamp.tv_usec) * 1000,
            byteCounts: byteCounts, isDamaged: buffer.flags & 0x40 != 0)
    }
}
