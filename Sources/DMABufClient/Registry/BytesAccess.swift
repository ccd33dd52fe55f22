// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufConnection
import DMABufModel
import DMABufSystem

/// The one way to read: ``RegistryConnection/withAccess(_:to:memory:within:_:)``.
public enum Reading: Sendable { case read }

/// The one way to write.
public enum Writing: Sendable { case write }

extension RegistryConnection {
    /// Lends the bytes of a buffer to read, after everything that has to be waited for.
    ///
    /// In this order: the access is begun, once the registry's fences of writers have ended and no move is under way; the
    /// kernel's fences are waited for, and caches made coherent (`DMA_BUF_IOCTL_SYNC`); `body` runs; the bracket ends; the
    /// access ends. Where this client has control pages and nothing is pending, only the bracket is a system call. The
    /// mapping is kept for the next time. After a move `attached` becomes the present generation, and the old one is let go;
    /// notices of that move are not kept, for it has been followed.
    ///
    /// `memory` is the index of one of the buffer's memories. Throws ``Refusal/timedOut(waitingFor:)`` or ``DMABufError``
    /// `deadline` when all this takes longer than `limit`: `body` did not run. Throws ``Refusal/revoked`` when the access was
    /// lost while it was under way: what was read may be torn.
    public mutating func withAccess<Result>(
        _: Reading, to attached: inout AttachedBuffer, memory index: Int = 0, within limit: Duration = .seconds(2),
        _ body: (RawSpan) -> Result
    ) throws(RegistryError) -> Result {
        try attached.checkMemory(index)
        let deadline = Deadline.after(limit)
        return try access(&attached, .read, until: deadline) { (imported) throws(DMABufError) in
            try imported.read(index, until: deadline, body)
        }
    }

    /// Lends the bytes of a buffer to read and write; as above, and the readers are waited for, too.
    ///
    /// Throws as above; when the access was lost, so is what `body` wrote.
    public mutating func withAccess<Result>(
        _: Writing, to attached: inout AttachedBuffer, memory index: Int = 0, within limit: Duration = .seconds(2),
        _ body: (inout MutableRawSpan) -> Result
    ) throws(RegistryError) -> Result {
        try attached.checkMemory(index)
        let deadline = Deadline.after(limit)
        return try access(&attached, .write, until: deadline) { (imported) throws(DMABufError) in
            try imported.write(index, until: deadline, body)
        }
    }

    private mutating func access<Result>(
        _ attached: inout AttachedBuffer, _ access: DMABufModel.Access, until deadline: Deadline,
        _ body: (ImportedBuffer) throws(DMABufError) -> Result
    ) throws(RegistryError) -> Result {
        let ongoing = try beginOnPresent(&attached, access, patient: deadline, until: deadline)
        return try finish(ongoing, until: deadline) { () throws(DMABufError) in try body(attached.imported) }
    }

    /// A generation that is over, and one that this client was cut off from by a move, are followed, `until` then; what was
    /// taken back for good or for now is refused by the map. The work of others is waited for no longer than `patient`.
    mutating func beginOnPresent(
        _ attached: inout AttachedBuffer, _ access: DMABufModel.Access, patient: Deadline, until deadline: Deadline
    ) throws(RegistryError) -> OngoingAccess {
        while true {
            do throws(RegistryError) { return try beginAccess(attached, access, until: patient) } catch {
                switch error {
                case .ruledOut(.stale), .ruledOut(.revoked):
                    guard !deadline.hasPassed else { throw error }
                    attached = try map(attached.attachment, until: deadline.advanced(by: answersWithin))
                    let followed = attached.attachment
                    notices.removeAll { $0.isOfAMove && $0.attachment == followed }
                default: throw error
                }
            }
        }
    }
}

extension Notice {
    /// Whoever maps the present generation needs none of them.
    fileprivate var isOfAMove: Bool {
        switch self {
        case .invalidate, .moving, .moved, .moveAborted: true
        default: false
        }
    }
}
