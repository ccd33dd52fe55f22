// SPDX-License-Identifier: Apache-2.0

/// What a request comes to.
public enum Answer: Hashable, Sendable {
    case done
    case refused(Refusal)
    case registered(BufferID, Generation)
    case found(BufferID, Generation)
    case attached(AttachmentID, Generation, FenceSummary)
    case mapped(AttachmentID, Generation, FenceSummary)
    /// `.revoked`: what was written during the access is lost.
    case accessEnded(AttachmentState)
    case moveBegun(Generation, until: Instant)
    case revoked(RevokeLevel)
    case fenceAdded(FenceID)
    case snapshot(FenceStatus, [FenceID])
    case waited(FenceStatus)
    case locked(LockNumber, until: Instant)
    case tokenWithdrawn(tokens: Int, attachments: Int)
    indirect case inspected(Inspection)
    /// `next` continues the list; 0 ends it. A part may be empty.
    case listed([Listing], next: UInt32)
}

/// OK, REVOKED (may come back), DEAD (never), as VFIO has them.
public enum AttachmentState: UInt8, Hashable, CaseIterable, Sendable {
    case ok
    case revoked
    case dead
}

/// How far a revocation got. Userspace cannot take back a descriptor it has passed, so it says which step was reached.
public enum RevokeLevel: Hashable, Sendable {
    /// The holders are gone and the count is at its baseline.
    case enforced
    /// All acknowledged, and nothing can tell whether they kept their word.
    case cooperative
    case unconfirmed([Holder])
}

/// What a fence, or several merged, came to. Sticky: an end never changes, and a merge keeps the worst of its parts.
public enum FenceStatus: Hashable, Sendable {
    case pending
    case ok
    /// A positive errno.
    case error(Int32)
    case ownerDead
}

/// The fences that an importer has to wait for, merged.
public struct FenceSummary: Hashable, Sendable {
    public var status: FenceStatus
    public var pending: Int

    public init(status: FenceStatus, pending: Int) {
        self.status = status
        self.pending = pending
    }

    public static let idle = FenceSummary(status: .ok, pending: 0)
}

/// Someone attached to a buffer, as far as the asker may know: of another uid only the attachment's number is said.
public struct Holder: Hashable, Sendable {
    public var attachment: AttachmentID
    public var client: ClientID?

    /// So many are named at most; who is in the way of a thousand needs no more.
    public static let listLimit = 64

    public init(_ attachment: AttachmentID, _ client: ClientID?) {
        self.attachment = attachment
        self.client = client
    }
}
