// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// `linux/dma-heap.h`: memory allocated straight as a dma-buf from a heap in `/dev/dma_heap`.
///
/// | Swift      | ioctl                  | since     |
/// |------------|------------------------|-----------|
/// | `allocate` | `DMA_HEAP_IOCTL_ALLOC` | Linux 5.6 |
public struct DMAHeap: ~Copyable, Sendable {
    public static let folder = "/dev/dma_heap"

    private let device: Descriptor

    /// Opens a heap by its name, which is its file name in `/dev/dma_heap`.
    public init(named name: String) throws(Errno) {
        guard !name.isEmpty, !name.contains("/") else { throw .invalidArgument }
        device = try Descriptor.open("\(Self.folder)/\(name)")
    }

    /// A dma-buf of at least `byteCount` bytes (the kernel rounds up to pages), zeroed. The caller owns it.
    ///
    /// The corresponding ioctl is `DMA_HEAP_IOCTL_ALLOC`.
    public borrowing func allocate(byteCount: UInt64) throws(Errno) -> Descriptor {
        var request = dma_heap_allocation_data()
        request.len = byteCount
        request.fd_flags = UInt32(O_RDWR | O_CLOEXEC)
        let number = device.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_heap_alloc, &request) }
        return Descriptor(adopting: CInt(bitPattern: request.fd))
    }

    /// The heaps of this machine by name, ordinary memory ("system") before what is scarce.
    public static var names: [String] {
        Folder.names(folder).sorted { ($0 == "system" ? 0 : 1, $0) < ($1 == "system" ? 0 : 1, $1) }
    }
}
