// SPDX-License-Identifier: Apache-2.0

import DMABufModel
public import DMABufSystem
public import SystemPackage

/// Work that is under way and will end: a sync_file, an eventfd or a pidfd. It owns its descriptor.
///
/// The corresponding kernel name is `struct dma_fence`, behind `struct sync_file`.
public final class Fence: Sendable {
    public enum Kind: String, Sendable {
        case syncFile = "sync_file"
        /// Signalled while its counter is above zero. It has no error state, and any holder can reset it by reading.
        case eventfd
        /// Signalled when the process has ended.
        case pidfd
    }

    public enum Status: Equatable, Sendable {
        case pending
        case signalled
        /// The work failed. Only a sync_file can say so.
        case failed(Errno)
    }

    public let kind: Kind
    package let descriptor: Descriptor

    /// Takes over a descriptor after identifying it; `notADMABuf` if it is none of the three kinds.
    public convenience init(adopting descriptor: consuming Descriptor) throws(DMABufError) {
        try self.init(adopting: descriptor, identifiedAs: nil)
    }

    /// As above, where somebody may have looked already.
    package init(adopting descriptor: consuming Descriptor, identifiedAs found: Identification?) throws(DMABufError) {
        switch try identify(descriptor, found).kind {
        case .syncFile: self.kind = .syncFile
        case .eventfd: self.kind = .eventfd
        case .pidfd: self.kind = .pidfd
        default:
            throw mistaken(descriptor, "fence")
        }
        self.descriptor = descriptor
    }

    init(knownSyncFile descriptor: consuming Descriptor) {
        kind = .syncFile
        self.descriptor = descriptor
    }

    /// The state now, without waiting.
    public func status() throws(DMABufError) -> Status {
        try attempting("ask a fence for its state") { () throws(Errno) in
            guard kind == .syncFile else {
                return try Poll.wait(descriptor, for: .readable, until: .now()).isEmpty ? .pending : .signalled
            }
            return Status(try SyncFile.status(descriptor))
        }
    }

    /// Waits for the end of the work. Returns `signalled` or `failed`; throws `deadline`, naming who was waited for.
    ///
    /// The corresponding C function is `poll`.
    @discardableResult
    public func wait(until deadline: Deadline) throws(DMABufError) -> Status {
        let ready = try attempting("wait for a fence") { () throws(Errno) in
            try Poll.wait(descriptor, for: .readable, until: deadline)
        }
        if ready.isEmpty {
            throw DMABufError(
                .deadline, "waited in vain for \(whoIsPending())", cause: .timedOut,
                remedy: "the process or driver that promised it may hang; a longer deadline only helps if it is slow")
        }
        return kind == .syncFile ? try status() : .signalled
    }

    /// A fence that signals when both have; only for sync_files.
    ///
    /// The corresponding ioctl is `SYNC_IOC_MERGE`, which forgets an error that one of them ended with before the merge.
    public func merged(with other: Fence, named name: String) throws(DMABufError) -> Fence {
        guard kind == .syncFile, other.kind == .syncFile else {
            throw DMABufError(
                .unsupported, "only sync_files can be merged, not a \(kind.rawValue) and a \(other.kind.rawValue)")
        }
        let merged = try attempting("merge two fences") { () throws(Errno) in
            try SyncFile.merge(descriptor, other.descriptor, named: name)
        }
        return Fence(knownSyncFile: merged)
    }

    /// A fence of the kernel's, behind a sync_file.
    public struct Part: Equatable, Sendable {
        /// In the kernel's words; some kernels forget both once the fence has signalled.
        public let driver: String
        public let timeline: String
        public let status: Status
    }

    /// The kernel's fences that a sync_file stands for; none for another kind.
    ///
    /// The corresponding ioctl is `SYNC_IOC_FILE_INFO`.
    public func parts() throws(DMABufError) -> [Part] {
        guard kind == .syncFile else { return [] }
        let info = try attempting("ask a fence for its parts") { () throws(Errno) in try SyncFile.info(descriptor) }
        return info.fences.map { Part(driver: $0.driver, timeline: $0.timeline, status: Status($0.status)) }
    }

    /// Tells the driver when the result is wanted. Returns false where the kernel (before 6.6) or the kind of fence has
    /// no such hint. It ends nothing.
    ///
    /// The corresponding ioctl is `SYNC_IOC_SET_DEADLINE`.
    @discardableResult
    public func hint(deadline: Deadline) throws(DMABufError) -> Bool {
        guard kind == .syncFile else { return false }
        do throws(Errno) {
            try SyncFile.setDeadline(descriptor, deadline)
            return true
        } catch {
            guard error == .inappropriateIOCTLForDevice else { throw .system("set a fence's deadline hint", error) }
            return false
        }
    }

    /// Another descriptor of the same fence; the caller owns it.
    public func duplicateDescriptor() throws(DMABufError) -> Descriptor {
        try attempting("duplicate a fence") { () throws(Errno) in try descriptor.duplicate() }
    }

    /// The drivers and timelines that have not signalled, for a message.
    private func whoIsPending() -> String {
        guard kind == .syncFile, let info = try? SyncFile.info(descriptor) else {
            return kind == .eventfd ? "an eventfd" : "a \(kind.rawValue)"
        }
        let names = info.fences.filter { $0.status == .pending }.map { "\($0.driver) (\($0.timeline))" }
        return names.isEmpty ? "a sync_file" : names.joined(separator: ", ").escapedForDisplay
    }
}

extension Fence.Status {
    fileprivate init(_ status: SyncFile.Status) {
        switch status {
        case .pending: self = .pending
        case .signalled: self = .signalled
        case .failed(let error): self = .failed(error)
        }
    }
}
