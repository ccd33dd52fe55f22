// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

extension V4L2 {
    /// How a frame lies in the memories of one buffer.
    ///
    /// The corresponding kernel names are `struct v4l2_pix_format` and `struct v4l2_pix_format_mplane`.
    public struct Format: Equatable, Sendable {
        public var type: BufferType
        public var width: UInt32
        public var height: UInt32
        /// `V4L2_PIX_FMT_*`, which is not always DRM's code for the same pixels.
        public var fourcc: UInt32
        /// `enum v4l2_field`: 1 is a whole frame, line after line.
        public var field: UInt32 = 1
        /// One for each memory of a buffer; a single-planar queue has one.
        public var memories: [Memory]

        public struct Memory: Equatable, Sendable {
            /// Bytes from one line to the next of its first plane: `bytesperline`. Zero lets the driver choose.
            public var stride: UInt32
            /// Bytes that a buffer must have at least: `sizeimage`. Zero lets the driver choose.
            public var byteCount: UInt32

            public init(stride: UInt32 = 0, byteCount: UInt32 = 0) {
                self.stride = stride
                self.byteCount = byteCount
            }
        }

        public init(
            _ type: BufferType, width: UInt32, height: UInt32, fourcc: UInt32, memories: [Memory] = [Memory()]
        ) {
            self.type = type
            self.width = width
            self.height = height
            self.fourcc = fourcc
            self.memories = memories
        }
    }
}

extension V4L2Node {
    /// The pixel formats of a queue, the driver's preferred first. The corresponding ioctl is `VIDIOC_ENUM_FMT`.
    public func formats(of type: V4L2.BufferType) -> [UInt32] {
        let number = descriptor.number
        var found: [UInt32] = []
        for index in 0..<UInt32(256) {
            var request = v4l2_fmtdesc()
            request.index = index
            request.type = type.rawValue
            guard (try? nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_v4l2_enum_fmt, &request) }) != nil else {
                break
            }
            found.append(request.pixelformat)
        }
        return found
    }

    /// The format that the queue has now. The corresponding ioctl is `VIDIOC_G_FMT`.
    public func format(of type: V4L2.BufferType) throws(Errno) -> V4L2.Format {
        try exchange(dmabuf_ioctl_v4l2_g_fmt, V4L2.Format(type, width: 0, height: 0, fourcc: 0))
    }

    /// What the driver would make of `format`. The corresponding ioctl is `VIDIOC_TRY_FMT`.
    public func tryFormat(_ format: V4L2.Format) throws(Errno) -> V4L2.Format {
        try exchange(dmabuf_ioctl_v4l2_try_fmt, format)
    }

    /// Sets what the driver makes of `format`, and says what that is: seldom an error, often something else than was
    /// asked for. It is the device's, whoever opens it next. Throws `resourceBusy` while a queue has buffers.
    ///
    /// The corresponding ioctl is `VIDIOC_S_FMT`.
    public func setFormat(_ format: V4L2.Format) throws(Errno) -> V4L2.Format {
        try exchange(dmabuf_ioctl_v4l2_s_fmt, format)
    }

    private func exchange(_ ioctlNumber: UInt, _ format: V4L2.Format) throws(Errno) -> V4L2.Format {
        var request = unsafe v4l2_format(format)
        let number = descriptor.number
        try nothingOrErrno { unsafe ioctl(number, ioctlNumber, &request) }
        return unsafe V4L2.Format(request, format.type)
    }
}

extension v4l2_format {
    init(_ format: V4L2.Format) {
        unsafe self.init()
        unsafe type = format.type.rawValue
        if format.type.isMultiplanar {
            unsafe fmt.pix_mp = v4l2_pix_format_mplane(format)
        } else {
            unsafe fmt.pix = v4l2_pix_format(format)
        }
    }
}

extension v4l2_pix_format {
    fileprivate init(_ format: V4L2.Format) {
        self.init()
        width = format.width
        height = format.height
        pixelformat = format.fourcc
        field = format.field
        bytesperline = format.memories[0].stride
        sizeimage = format.memories[0].byteCount
    }
}

extension v4l2_pix_format_mplane {
    fileprivate init(_ format: V4L2.Format) {
        self.init()
        width = format.width
        height = format.height
        pixelformat = format.fourcc
        field = format.field
        num_planes = UInt8(format.memories.count)
        unsafe withUnsafeMutableBytes(of: &plane_fmt) { space in
            for (index, memory) in format.memories.prefix(V4L2.memoryLimit).enumerated() {
                var plane = v4l2_plane_pix_format()
                plane.sizeimage = memory.byteCount
                plane.bytesperline = memory.stride
                unsafe space.storeBytes(
                    of: plane, toByteOffset: index * MemoryLayout<v4l2_plane_pix_format>.size,
                    as: v4l2_plane_pix_format.self)
            }
        }
    }

    fileprivate var memories: [V4L2.Format.Memory] {
        unsafe withUnsafeBytes(of: plane_fmt) { space in
            (0..<min(Int(num_planes), V4L2.memoryLimit)).map { index in
                let plane = unsafe space.loadUnaligned(
                    fromByteOffset: index * MemoryLayout<v4l2_plane_pix_format>.size, as: v4l2_plane_pix_format.self)
                return V4L2.Format.Memory(stride: plane.bytesperline, byteCount: plane.sizeimage)
            }
        }
    }
}

extension V4L2.Format {
    fileprivate init(_ request: v4l2_format, _ type: V4L2.BufferType) {
        if type.isMultiplanar {
            let pix = unsafe request.fmt.pix_mp
            self.init(
                type, width: pix.width, height: pix.height, fourcc: pix.pixelformat, memories: pix.memories)
            field = pix.field
        } else {
            let pix = unsafe request.fmt.pix
            self.init(
                type, width: pix.width, height: pix.height, fourcc: pix.pixelformat,
                memories: [Memory(stride: pix.bytesperline, byteCount: pix.sizeimage)])
            field = pix.field
        }
    }
}
