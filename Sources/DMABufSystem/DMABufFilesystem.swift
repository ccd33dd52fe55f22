// SPDX-License-Identifier: Apache-2.0

import CDMABuf

/// The filesystem magic of dma-bufs, `DMA_BUF_MAGIC` ("DMAB").
private let dmaBufMagic: UInt64 = 0x444d_4142

/// `TMPFS_MAGIC`: where ordinary memory files live. One of huge pages lives in hugetlbfs.
private let tmpfsMagic: UInt64 = 0x0102_1994

/// Whether a memory file has ordinary pages. Only after its seals could be read, which shows that it is the kernel's.
func hasOrdinaryPages(_ number: CInt) -> Bool {
    var type: UInt64 = 0
    return unsafe dmabuf_statfs_type(number, &type) == 0 && type == tmpfsMagic
}

/// Whether the file lives in the kernel's dma-buf filesystem. Only after link and fdinfo have said as much: on a hostile
/// file `fstatfs` blocks.
func isDMABufFilesystem(_ number: CInt) -> Bool {
    var type: UInt64 = 0
    return unsafe dmabuf_statfs_type(number, &type) == 0 && type == dmaBufMagic
}

/// The kernel's filesystem of dma-bufs. It is mounted nowhere, so a dma-buf is needed to learn its device number.
public enum DMABufFilesystem {
    /// Its `st_dev`, from a scratch buffer that is gone again; nil where this process can make none.
    public static func device() -> UInt64? {
        if let memory = try? MemFD.create(named: "dmabuf-share-probe", byteCount: 65536),
            (try? MemFD.addSeals(memory, .shrink)) != nil,
            let buffer = try? UDMABuf().create(from: memory, byteCount: 65536)
        {
            return try? buffer.identity().device
        }
        for name in DMAHeap.names {
            if let buffer = try? DMAHeap(named: name).allocate(byteCount: 4096) { return try? buffer.identity().device }
        }
        guard let dumb = try? VGEM.open().createDumbBuffer(width: 1024, height: 1, bitsPerPixel: 32),
            let buffer = try? dumb.gem.export()
        else { return nil }
        return try? buffer.identity().device
    }
}
