// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
public import DMABufSystem
import SystemPackage

/// A buffer in this process's address space. The bytes are reached only inside a bracket that waits for the fences of
/// others, makes caches coherent, and closes by itself; no pointer leaves it.
///
/// Rule: *Every CPU access is bracketed.* BEGIN waits for the writers (to read) or for everyone (to write) until the
/// deadline; the body cannot throw, so END always follows; a stand-in has no fences and no bracket to make.
public struct Mapping: ~Copyable, Sendable {
    public let buffer: DMABuffer
    /// For the two brackets below alone.
    @usableFromInline var memory: MemoryMapping

    init(buffer: DMABuffer, memory: consuming MemoryMapping) {
        self.buffer = buffer
        self.memory = memory
    }

    public var byteCount: Int { memory.byteCount }

    /// Lends the bytes to read, once every pending write has ended.
    ///
    /// Throws `deadline` if that takes longer than `limit`, naming the fence's driver; nothing was read then. The
    /// corresponding ioctl is `DMA_BUF_IOCTL_SYNC` with `DMA_BUF_SYNC_READ`.
    @inlinable
    public borrowing func withReadAccess<Result>(
        within limit: Duration = .seconds(2), _ body: (RawSpan) -> Result
    ) throws(DMABufError) -> Result {
        if hasBracket { try begin(.read, within: limit) }
        let result = memory.withBytes(body)
        if hasBracket { try end(.read) }
        return result
    }

    /// Lends the bytes to read and write, once everyone else has ended.
    ///
    /// Throws as `withReadAccess`; a mapping made to read traps. The corresponding ioctl is `DMA_BUF_IOCTL_SYNC` with
    /// `DMA_BUF_SYNC_RW`.
    @inlinable
    public mutating func withWriteAccess<Result>(
        within limit: Duration = .seconds(2), _ body: (inout MutableRawSpan) -> Result
    ) throws(DMABufError) -> Result {
        if hasBracket { try begin(.readWrite, within: limit) }
        let result = memory.withMutableBytes(body)
        if hasBracket { try end(.readWrite) }
        return result
    }

    /// Unmaps now rather than at the end of the scope.
    public consuming func unmap() {}

    /// A stand-in has none.
    @usableFromInline var hasBracket: Bool { buffer.kind == .dmaBuf }

    @usableFromInline
    borrowing func begin(_ access: Access, within limit: Duration) throws(DMABufError) {
        do throws(Errno) {
            try DMABufIoctl.beginAccess(buffer.descriptor, access.ioctlAccess, until: .after(limit))
        } catch {
            guard error == .timedOut else { throw .system("begin a CPU access to dma-buf \(buffer.inode)", error) }
            // Ask again who it was; the fence's own error names its driver.
            try buffer.fenceIfKnown(waitingBefore: access)?.wait(until: .now())
            throw DMABufError(
                .deadline, "dma-buf \(buffer.inode) stayed busy for \(limit)", cause: .timedOut,
                remedy: "allow more time, or find its holders with `dmabuf-share inspect all`")
        }
    }

    @usableFromInline
    borrowing func end(_ access: Access) throws(DMABufError) {
        try attempting("end a CPU access to dma-buf \(buffer.inode)") { () throws(Errno) in
            try DMABufIoctl.endAccess(buffer.descriptor, access.ioctlAccess)
        }
    }
}
