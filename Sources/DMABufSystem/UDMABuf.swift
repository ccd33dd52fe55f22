// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// `linux/udmabuf.h`: a dma-buf from the pages of memory files. The file must be sealed `F_SEAL_SHRINK` and must not be
/// sealed against writing; offset and size are whole pages.
///
/// | Swift             | ioctl                 | since      |
/// |-------------------|-----------------------|------------|
/// | `create`          | `UDMABUF_CREATE`      | Linux 4.20 |
/// | `create(from:)`   | `UDMABUF_CREATE_LIST` | Linux 4.20 |
public struct UDMABuf: ~Copyable, Sendable {
    public static let path = "/dev/udmabuf"

    private let device: Descriptor

    /// Opens `/dev/udmabuf`.
    public init() throws(Errno) {
        device = try Descriptor.open(Self.path)
    }

    /// A dma-buf over `byteCount` bytes of `memory` from `offset`. The caller owns it.
    ///
    /// The corresponding ioctl is `UDMABUF_CREATE`.
    public borrowing func create(
        from memory: borrowing Descriptor, offset: UInt64 = 0, byteCount: UInt64
    ) throws(Errno) -> Descriptor {
        var request = udmabuf_create()
        request.memfd = UInt32(memory.number)
        request.flags = UInt32(UDMABUF_FLAGS_CLOEXEC)
        request.offset = offset
        request.size = byteCount
        let number = device.number
        return Descriptor(
            adopting: try valueOrErrno { unsafe ioctl(number, dmabuf_ioctl_udmabuf_create, &request) })
    }

    /// A part of a memory file: bytes, whole pages.
    public struct Segment: Sendable {
        /// Which of the list's files.
        public let file: Int
        public let offset: UInt64
        public let byteCount: UInt64

        public init(file: Int, offset: UInt64, byteCount: UInt64) {
            self.file = file
            self.offset = offset
            self.byteCount = byteCount
        }
    }

    /// A dma-buf over several segments, in their order. The caller owns it.
    ///
    /// The corresponding ioctl is `UDMABUF_CREATE_LIST`, whose flexible array follows its eight-byte head.
    public borrowing func create(
        from files: borrowing DescriptorList, segments: [Segment]
    ) throws(Errno) -> Descriptor {
        let headSize = MemoryLayout<udmabuf_create_list>.size
        let itemSize = MemoryLayout<udmabuf_create_item>.stride
        let number = device.number
        return try unsafe withUnsafeTemporaryAllocation(
            byteCount: headSize + itemSize * segments.count, alignment: 8
        ) { (space) throws(Errno) -> Descriptor in
            unsafe space.storeBytes(of: UInt32(UDMABUF_FLAGS_CLOEXEC), toByteOffset: 0, as: UInt32.self)
            unsafe space.storeBytes(of: UInt32(segments.count), toByteOffset: 4, as: UInt32.self)
            for (index, segment) in segments.enumerated() {
                let item = udmabuf_create_item(
                    memfd: UInt32(files.number(at: segment.file)), __pad: 0, offset: segment.offset,
                    size: segment.byteCount)
                unsafe space.storeBytes(
                    of: item, toByteOffset: headSize + itemSize * index, as: udmabuf_create_item.self)
            }
            return Descriptor(
                adopting: try valueOrErrno {
                    unsafe ioctl(number, dmabuf_ioctl_udmabuf_create_list, space.baseAddress!)
                })
        }
    }

    /// The largest buffer in bytes that the module allows, or nil where it states no limit.
    ///
    /// The corresponding file is `/sys/module/udmabuf/parameters/size_limit_mb`.
    public static var sizeLimit: UInt64? {
        // Newer kernels have the largest int there, which is no limit at all.
        guard let megabytes = Sysfs.integer("/sys/module/udmabuf/parameters/size_limit_mb"),
            megabytes > 0, megabytes < Int(Int32.max)
        else { return nil }
        return UInt64(megabytes) << 20
    }

    /// The most segments of one buffer.
    ///
    /// The corresponding file is `/sys/module/udmabuf/parameters/list_limit`.
    public static var segmentLimit: Int? { Sysfs.integer("/sys/module/udmabuf/parameters/list_limit") }
}
