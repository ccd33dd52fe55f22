// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
import Synchronization
import SystemPackage

/// The filesystem magic of dma-bufs, `DMA_BUF_MAGIC` ("DMAB").
private let dmaBufMagic: UInt64 = 0x444d_4142

/// `TMPFS_MAGIC`: where ordinary memory files live. One of huge pages lives in hugetlbfs.
private let tmpfsMagic: UInt64 = 0x0102_1994

/// Whether a memory file has ordinary pages. Only after its seals could be read, which shows that it is the kernel's.
func hasOrdinaryPages(_ number: CInt) -> Bool {
    var type: UInt64 = 0
    return unsafe dmabuf_statfs_type(number, &type) == 0 && type == tmpfsMagic
}

/// Whether a file whose link says so lives in the kernel's dma-buf filesystem. Nothing is asked of the file before it is known:
/// on a hostile one `fstatfs` blocks.
func isInDMABufFilesystem(_ number: CInt) throws(Errno) -> Bool {
    var noted = dmabuf_noted()
    let known = knownDevice.load(ordering: .relaxed)
    if known != 0, unsafe dmabuf_statx(number, 0, &noted) == 0 { return noted.filesystem == known }
    // A plain file can be called like one, but its fdinfo has no exporter; and the type of the filesystem settles it.
    let text = try FDInfo.bytes(ofNumber: number)
    if FDInfo(parsing: text).exporterName != nil {
        var type: UInt64 = 0
        guard unsafe dmabuf_statfs_type(number, &type) == 0, type == dmaBufMagic else { return false }
        if unsafe dmabuf_statx(number, 0, &noted) == 0 { knownDevice.store(noted.filesystem, ordering: .relaxed) }
        return true
    }
    // Locks that a holder has taken stand before all that is a dma-buf's own. A scratch buffer tells, where one can be made.
    guard text.count == FDInfo.limit, let device = deviceOfScratchBuffer() else { return false }
    return unsafe dmabuf_statx(number, 0, &noted) == 0 && noted.filesystem == device
}

private func deviceOfScratchBuffer() -> UInt64? {
    mayOpenDevices.withLock { mayOpen in
        if mayOpen, let device = DMABufFilesystem.device() { knownDevice.store(device, ordering: .relaxed) }
        // Once, whatever came of it.
        mayOpen = false
        let known = knownDevice.load(ordering: .relaxed)
        return known == 0 ? nil : known
    }
}

/// Whether a scratch buffer may be made to learn where they live: once.
private let mayOpenDevices = Mutex(true)

/// `st_dev` of that filesystem, the same for as long as the kernel runs; 0 until the first dma-buf was seen.
private let knownDevice = Atomic<UInt64>(0)

/// The kernel's filesystem of dma-bufs. It is mounted nowhere, so a dma-buf is needed to learn its device number.
public enum DMABufFilesystem {
    /// For a registry, which opens no device.
    package static func keepFromDevices() { mayOpenDevices.withLock { $0 = false } }

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
