// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

// The buffers of a queue. Whoever asks first owns it.

extension V4L2Node {
    /// Gives the queue `count` buffers, or as many as the driver likes, and says how many; what it had before is let go,
    /// and with none the queue is free for others. Memory that was exported lives on with its dma-bufs.
    ///
    /// Throws `resourceBusy` if another file owns the queue, or while it streams. The corresponding ioctl is `VIDIOC_REQBUFS`.
    @discardableResult
    public func requestBuffers(
        _ count: Int, _ type: V4L2.BufferType, _ memory: V4L2.Memory
    ) throws(Errno) -> Int {
        var request = v4l2_requestbuffers()
        request.count = UInt32(count)
        request.type = type.rawValue
        request.memory = memory.rawValue
        let number = descriptor.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_v4l2_reqbufs, &request) }
        return Int(request.count)
    }

    /// Adds buffers that may be larger than the queue's format needs, so many or more, and says the index of the first.
    ///
    /// Throws `invalidArgument` if `format` is smaller than the queue's own, `resourceBusy` as above. The corresponding
    /// ioctl is `VIDIOC_CREATE_BUFS`.
    public func createBuffers(_ count: Int, _ format: V4L2.Format, _ memory: V4L2.Memory) throws(Errno) -> Int {
        var request = unsafe v4l2_create_buffers()
        unsafe request.count = UInt32(count)
        unsafe request.memory = memory.rawValue
        unsafe request.format = v4l2_format(format)
        let number = descriptor.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_v4l2_create_bufs, &request) }
        guard unsafe request.count >= UInt32(count) else { throw .noMemory }
        return unsafe Int(request.index)
    }

    /// Whether the queue takes buffers of such memory. Nothing is made, and it does not matter who owns the queue.
    ///
    /// The corresponding ioctl is `VIDIOC_CREATE_BUFS` for no buffer.
    public func supports(_ memory: V4L2.Memory, _ type: V4L2.BufferType) -> Bool {
        guard let format = try? format(of: type) else { return false }
        return (try? createBuffers(0, format, memory)) != nil
    }

    /// A memory of a buffer that the driver made, as a dma-buf; the caller owns it.
    ///
    /// The corresponding ioctl is `VIDIOC_EXPBUF`.
    public func exportBuffer(
        _ index: Int, memory: Int = 0, _ type: V4L2.BufferType
    ) throws(Errno) -> Descriptor {
        var request = v4l2_exportbuffer()
        request.type = type.rawValue
        request.index = UInt32(index)
        request.plane = UInt32(memory)
        request.flags = UInt32(O_CLOEXEC | O_RDWR)
        let number = descriptor.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_v4l2_expbuf, &request) }
        return Descriptor(adopting: request.fd)
    }
}
