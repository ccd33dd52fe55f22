// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// `linux/dma-buf.h`: what may be asked of a dma-buf's own descriptor.
///
/// | Swift           | ioctl                            | since     |
/// |-----------------|----------------------------------|-----------|
/// | `beginAccess`   | `DMA_BUF_IOCTL_SYNC` START       | Linux 4.6 |
/// | `endAccess`     | `DMA_BUF_IOCTL_SYNC` END         | Linux 4.6 |
/// | `setName`       | `DMA_BUF_SET_NAME`               | Linux 5.3 |
/// | `exportSyncFile`| `DMA_BUF_IOCTL_EXPORT_SYNC_FILE` | Linux 6.0 |
/// | `importSyncFile`| `DMA_BUF_IOCTL_IMPORT_SYNC_FILE` | Linux 6.0 |
public enum DMABufIoctl {
    /// Read, write or both, in the kernel's bits (`DMA_BUF_SYNC_READ`, `DMA_BUF_SYNC_WRITE`).
    public struct Access: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static var read: Access { Access(rawValue: 1) }
        public static var write: Access { Access(rawValue: 2) }
    }

    /// Opens a CPU access: waits for the fences that conflict with it until `deadline`, then makes caches coherent.
    ///
    /// Throws `timedOut` at the deadline, with nothing begun. The corresponding ioctl is `DMA_BUF_IOCTL_SYNC` with
    /// `DMA_BUF_SYNC_START`, which by itself would wait without an end.
    public static func beginAccess(
        _ buffer: borrowing Descriptor, _ access: Access, until deadline: Deadline
    ) throws(Errno) {
        let number = buffer.number
        try nothingOrErrno(retryOnInterrupt: false) {
            dmabuf_sync_until(number, UInt64(access.rawValue), deadline.nanoseconds)
        }
    }

    /// Closes a CPU access. It never waits for fences.
    ///
    /// The corresponding ioctl is `DMA_BUF_IOCTL_SYNC` with `DMA_BUF_SYNC_END`.
    public static func endAccess(_ buffer: borrowing Descriptor, _ access: Access) throws(Errno) {
        var request = dma_buf_sync(flags: UInt64(access.rawValue) | UInt64(DMA_BUF_SYNC_END))
        while true {
            do throws(Errno) {
                let number = buffer.number
                return try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_sync, &request) }
            } catch {
                // EAGAIN asks to be called again, as the header says.
                guard error == .resourceTemporarilyUnavailable else { throw error }
            }
        }
    }

    /// Names the buffer for people: at most 31 bytes of UTF-8 without NUL (`invalidArgument` otherwise). Any holder
    /// may rename it, so a name is never an identity.
    ///
    /// The corresponding ioctl is `DMA_BUF_SET_NAME`.
    public static func setName(_ buffer: borrowing Descriptor, _ name: String) throws(Errno) {
        guard name.utf8.count < Int(DMA_BUF_NAME_LEN), !name.utf8.contains(0) else { throw .invalidArgument }
        let number = buffer.number
        try nothingOrErrno {
            unsafe name.withCString {
                unsafe ioctl(number, dmabuf_ioctl_set_name, UnsafeMutableRawPointer(mutating: $0))
            }
        }
    }

    /// A sync_file with a snapshot of the fences that `access` would have to wait for: the writers for a read, everyone
    /// for a write. Fences that come later are not in it. The caller owns the result.
    ///
    /// The corresponding ioctl is `DMA_BUF_IOCTL_EXPORT_SYNC_FILE`.
    public static func exportSyncFile(
        _ buffer: borrowing Descriptor, waitingBefore access: Access
    ) throws(Errno) -> Descriptor {
        var request = dma_buf_export_sync_file(flags: access.rawValue, fd: -1)
        let number = buffer.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_export_sync_file, &request) }
        return Descriptor(adopting: request.fd)
    }

    /// Adds the fences of `syncFile` to the buffer's reservation, as a reader's or a writer's. Borrows both.
    ///
    /// The corresponding ioctl is `DMA_BUF_IOCTL_IMPORT_SYNC_FILE`. Export and import together are not atomic.
    public static func importSyncFile(
        _ syncFile: borrowing Descriptor, into buffer: borrowing Descriptor, as access: Access
    ) throws(Errno) {
        var request = dma_buf_import_sync_file(flags: access.rawValue, fd: syncFile.number)
        let number = buffer.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_import_sync_file, &request) }
    }
}
