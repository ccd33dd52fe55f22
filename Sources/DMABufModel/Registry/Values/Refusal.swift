// SPDX-License-Identifier: Apache-2.0

/// Why a request was not granted: which rule, and who is in the way. A value for the asker to act on.
public enum Refusal: Error, Hashable, Sendable {
    // Identity.
    case stale(current: Generation)
    /// The uid that stands for everyone whom a user namespace does not know.
    case overflowUID
    case numberTaken

    // Rights. A buffer that is forbidden and one that is missing look the same.
    case noSuchBuffer
    case noSuchAttachment
    case noSuchToken
    case forbidden(missing: Rights)
    /// Only the owner's uid may.
    case notTheOwner
    case tokenTooWide(Rights)
    case nameTaken
    /// A line of the policy of whoever runs the registry.
    case deniedByPolicy(line: UInt32)

    // Lifetime.
    case bufferEnded
    /// After a restart: not everyone who was attached has said where it stands.
    case settling(until: Instant)
    case quarantined(suspects: [Holder])

    // Attach.
    case revoked
    case dead
    case notInAccess
    case malformed

    // Move.
    case pinned(by: [Holder])
    case moving(until: Instant)
    case notMoving
    case notTheMover
    case notOwed(current: Generation)
    case twoInQuarantine(suspects: [Holder])
    case wrongSize(expected: UInt64)
    case sameMemory

    // Revoke.
    case beingRevoked(until: Instant)

    // Reservation.
    case notReserved
    case noSlots(limit: UInt32)
    case notLater(than: UInt64)
    /// None of that timeline is pending there: it has ended, or its time is over.
    case noSuchFence
    case tooLong(limit: Interval)
    case timedOut(waitingFor: [FenceID])

    // Locks.
    case locked(by: LockNumber)
    case holdsLock(LockNumber)
    case lockEnded
    case lockTimedOut(waitingFor: LockNumber?)

    // Quota.
    case overQuota(QuotaExcess)
    case tooMany(Bounded, limit: UInt32)
    case overCeiling(CeilingExcess)

    /// Small counts that are bounded per buffer or client, not shared between uids.
    public enum Bounded: UInt8, Hashable, CaseIterable, Sendable {
        case clients
        case names
        case shares
        case tokens
        case delegations
        case locked
        case waits
    }
}

/// Which limit, what the asker's uid holds of it, and who holds the most.
public struct QuotaExcess: Hashable, Sendable {
    public var resource: Resource
    public var limit: UInt64
    public var share: UInt64
    public var remaining: UInt64
    public var users: UInt64
    public var largest: UInt32

    public init(
        resource: Resource, limit: UInt64, share: UInt64, remaining: UInt64, users: UInt64, largest: UInt32
    ) {
        self.resource = resource
        self.limit = limit
        self.share = share
        self.remaining = remaining
        self.users = users
        self.largest = largest
    }
}

/// What is counted per uid.
public enum Resource: UInt8, Hashable, CaseIterable, Sendable {
    case buffers
    case bytes
    case descriptors
    case pinnedBytes
    case attachments
    case quarantinedBytes
    case notices
}
