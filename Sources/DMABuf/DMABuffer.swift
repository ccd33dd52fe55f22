// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
public import DMABufSystem
import Synchronization
import SystemPackage

/// One piece of shareable memory: a dma-buf, or a sealed memfd that stands in for one where the kernel has none.
///
/// It owns its descriptor. What it is was established when it was made, and its size is the kernel's word, fixed for life.
///
/// The corresponding kernel name is `struct dma_buf`.
public final class DMABuffer: Sendable {
    public enum Kind: String, Sendable {
        case dmaBuf = "dmabuf"
        /// A stand-in: no kernel fences, no device imports, no reference count.
        case memfd
    }

    public let kind: Kind
    /// Size in bytes, from `lseek(SEEK_END)`; from `fstat` for a stand-in.
    public let byteCount: UInt64
    /// The kernel driver that made it, as fdinfo says; "memfd" for a stand-in.
    public let exporterName: String
    /// Whether the CPU may write through this descriptor. It binds no device: one that imports a buffer to read can write.
    public let isWritable: Bool
    /// A stand-in that no seal keeps from growing: `byteCount` is what it had.
    package let mayGrow: Bool
    package let descriptor: Descriptor
    /// 0 until it was asked for.
    private let knownInode: Atomic<UInt64>

    /// Takes over a descriptor, whatever a peer says it is. It is identified by its link and fdinfo before anything else
    /// is called on it.
    ///
    /// Throws `notADMABuf` for anything but a dma-buf or a memfd, and `unsealed` for a memfd that is not sealed against
    /// shrinking (it could be truncated under a reader: SIGBUS).
    public convenience init(adopting descriptor: consuming Descriptor) throws(DMABufError) {
        try self.init(adopting: descriptor, identifiedAs: nil)
    }

    /// As above, where somebody may have looked already.
    package init(adopting descriptor: consuming Descriptor, identifiedAs found: Identification?) throws(DMABufError) {
        let identification = try identify(descriptor, found)
        let seals = identification.seals
        switch identification.kind {
        case .dmaBuf: self.kind = .dmaBuf
        case .memfd:
            try Self.checkSeals(seals)
            self.kind = .memfd
        default:
            throw mistaken(descriptor, "dma-buf")
        }
        do throws(Errno) {
            let status = try descriptor.status()
            knownInode = Atomic(status.identity.inode)
            byteCount = try self.kind == .memfd ? status.byteCount : descriptor.seekableByteCount()
            exporterName = self.kind == .memfd ? "memfd" : try FDInfo(ofDMABuf: descriptor).exporterName ?? "unknown"
        } catch {
            throw .system("measure a dma-buf", error)
        }
        guard byteCount > 0, byteCount <= UInt64(Int.max) else {
            throw DMABufError(.invalid, "the buffer says that it has \(byteCount) bytes")
        }
        mayGrow = self.kind == .memfd && !seals.contains(.grow)
        isWritable = descriptor.isOpenForWriting && seals.isDisjoint(with: [.write, .futureWrite])
        self.descriptor = descriptor
    }

    package static func checkSeals(_ seals: MemFD.Seals) throws(DMABufError) {
        guard seals.contains(.shrink) else {
            throw DMABufError(
                .unsealed, "a memfd that can shrink under its readers is not shared",
                remedy: "seal it with F_SEAL_SHRINK before passing it")
        }
    }

    /// Takes over a memfd that this process has just made, to read and write, and sealed against shrinking and growing: there
    /// is nothing to find out.
    init(ownMemfd descriptor: consuming Descriptor, byteCount: UInt64) {
        kind = .memfd
        self.byteCount = byteCount
        exporterName = "memfd"
        isWritable = true
        mayGrow = false
        self.descriptor = descriptor
        knownInode = Atomic(0)
    }

    /// The kernel's number for the memory, never given twice while the machine runs; equal on both sides of a socket.
    /// Stand-ins are counted apart, by another filesystem: to compare, `isSameMemory(as:)`.
    public var inode: UInt64 {
        let known = knownInode.load(ordering: .relaxed)
        if known != 0 { return known }
        // Who makes memory and passes it on never asks. `fstat` does not fail on what is open.
        let found = (try? descriptor.status().identity.inode) ?? 0
        knownInode.store(found, ordering: .relaxed)
        return found
    }

    /// Whether the descriptor was opened to read and write, whatever seals and exporters say beyond that.
    public var isOpenForWriting: Bool { descriptor.isOpenForWriting }

    public var isStandIn: Bool { kind == .memfd }

    /// Whether both are descriptors of one piece of memory.
    public func isSameMemory(as other: DMABuffer) -> Bool { memoryNumber == other.memoryNumber }

    /// The inode, which names the memory among dma-bufs; a stand-in's has a bit that no inode of either filesystem reaches:
    /// a memfd moved to a dma-buf of the same number is no move to itself.
    package var memoryNumber: UInt64 { isStandIn ? inode | 1 << 63 : inode }

    /// Whether it takes the kernel long to take the memory back: so whoever closes it last does it with care.
    package var isBig: Bool {
        byteCount >= Descriptor.bigByteCount || mayGrow && descriptor.holdsBigFile
    }

    /// Another descriptor of the same buffer; the caller owns it.
    public func duplicateDescriptor() throws(DMABufError) -> Descriptor {
        try attempting("duplicate the descriptor of dma-buf \(inode)") { () throws(Errno) in try descriptor.duplicate()
        }
    }

    /// How many references the kernel counts (descriptors, mappings, messages in flight, device imports), or nil for a
    /// stand-in, which has no count. One means: only this descriptor.
    public func referenceCount() throws(DMABufError) -> Int? {
        if isStandIn { return nil }
        return try attempting("read fdinfo of dma-buf \(inode)") { () throws(Errno) in
            try FDInfo(ofDMABuf: descriptor).count
        }
    }

    /// The name that a holder gave it, if one did. Anyone's choice; escape it before showing it.
    public func name() throws(DMABufError) -> String? {
        try attempting("read fdinfo of dma-buf \(inode)") { () throws(Errno) in try FDInfo(ofDMABuf: descriptor).name }
    }

    /// Names the buffer for `/proc` and debugfs, at most 31 bytes. A stand-in keeps the name that it was made with.
    public func setName(_ name: String) throws(DMABufError) {
        guard kind == .dmaBuf else { return }
        guard name.utf8.count <= 31, !name.utf8.contains(0) else {
            throw DMABufError(
                .invalid, "a dma-buf's name has at most 31 bytes; \"\(name.escapedForDisplay)\" has \(name.utf8.count)")
        }
        try attempting("name dma-buf \(inode)") { () throws(Errno) in try DMABufIoctl.setName(descriptor, name) }
    }

    /// The fences that `access` has to wait for, as one; a snapshot. nil for a stand-in, which has none.
    ///
    /// The corresponding ioctl is `DMA_BUF_IOCTL_EXPORT_SYNC_FILE`.
    public func fence(waitingBefore access: Access) throws(DMABufError) -> Fence? {
        guard kind == .dmaBuf else { return nil }
        let file = try attempting("export the fences of dma-buf \(inode)") { () throws(Errno) in
            try DMABufIoctl.exportSyncFile(descriptor, waitingBefore: access.ioctlAccess)
        }
        return Fence(knownSyncFile: file)
    }

    /// As above, and nil also where the kernel (before 6.0) cannot tell.
    package func fenceIfKnown(waitingBefore access: Access) throws(DMABufError) -> Fence? {
        do throws(DMABufError) { return try fence(waitingBefore: access) } catch {
            guard error.cause == .inappropriateIOCTLForDevice else { throw error }
            return nil
        }
    }

    /// Adds a sync_file's fences to the kernel's reservation of the buffer, so that drivers obey them.
    ///
    /// Throws `unsupported` for a stand-in or for a fence that is no sync_file. The corresponding ioctl is
    /// `DMA_BUF_IOCTL_IMPORT_SYNC_FILE`.
    public func add(_ fence: Fence, as access: Access) throws(DMABufError) {
        guard kind == .dmaBuf, fence.kind == .syncFile else {
            throw DMABufError(.unsupported, "only a sync_file can be added to a dma-buf's reservation")
        }
        try attempting("add a fence to dma-buf \(inode)") { () throws(Errno) in
            try DMABufIoctl.importSyncFile(fence.descriptor, into: descriptor, as: access.ioctlAccess)
        }
    }
}

/// What came is closed with care.
func mistaken(_ descriptor: consuming Descriptor, _ wanted: String) -> DMABufError {
    let kind = try? DescriptorKind(of: descriptor)
    descriptor.closeElsewhere()
    return DMABufError(.notADMABuf, "descriptor is \(kind ?? .other("gone")), not a \(wanted)")
}

func identify(
    _ descriptor: borrowing Descriptor, _ found: Identification?
) throws(DMABufError) -> Identification {
    if let found { return found }
    do throws(Errno) { return try Identification(of: descriptor) } catch {
        throw .system("identify descriptor \(descriptor.numberForDisplay)", error)
    }
}

extension Access {
    /// Both sides use the kernel's bits.
    var ioctlAccess: DMABufIoctl.Access { DMABufIoctl.Access(rawValue: UInt32(rawValue)) }
}
