// SPDX-License-Identifier: Apache-2.0

// What the registry remembers, one struct per slab. Who is linked to whom is in chains; what waits has a timer.

struct User: Sendable {
    var uid: UInt32
    var clients = 0
    var ledger = Ledger()
    var ceilings = Ceilings()
}

struct Client: Sendable {
    var id: ClientID
    var identity: Identity
    var user: Slot
    /// Death has begun: nothing is said to it any more.
    var isDead = false
    /// It is cut off at the end of this step.
    var isDoomed = false
    /// It was here before the restart, and is awaited until this timer: see Rules/ComingBack.swift.
    var absence: Slot?
    var unread: UInt32 = 0
    var attachments = Chain()
    var fences = Chain()
    var waits = Chain()
    var owned = Chain()
    /// Buffers that it is moving.
    var moves = Chain()
    var ticket: Slot?
    var ladder: Ladder?
}

struct Buffer: Sendable {
    var id: BufferID
    /// The owner is a uid; its ledger carries the buffer even after its client is gone.
    var user: Slot
    var owner: Slot?
    var kept: Kept
    var generation = Generation.first
    var backing: Backing
    /// Its owner has let go of it: no name leads to it any more, and whoever is attached may finish.
    var isWithdrawn = false
    /// Over for everyone; its memory may still wait for release.
    var isEnding = false
    /// Its last generation's memory is free; an older one's may not be.
    var isReleased = false
    /// A device may still be writing: a dead client's fence did not end in time.
    var isSuspect = false
    var attachments = Chain()
    /// Attachments that are not DEAD.
    var live = 0
    /// Attachments of before a restart that have not said where they stand.
    var unsettled = 0
    var pinned = 0
    var move: Move?
    var fences = Chain()
    var reserved: UInt32 = 0
    var nextOrder: UInt64 = 0
    var endings: UInt64 = 0
    var latches = InlineArray<4, Latch>(repeating: Latch())
    var waits = Chain()
    var claims = Chain()
    var quarantine = Chain()
    var revocations = Chain()
    var tokens = Chain()
    var shares: [Share] = []
    /// Somebody begins accesses to it without asking.
    var isPublished = false
    var names: [String] = []
}

/// What a look at it needs comes first: of a thousand clients' none is in the cache.
struct Attachment: Sendable {
    var id: AttachmentID
    var buffer: Slot
    var client: Slot
    /// The generation whose descriptor it was passed last.
    var generation: Generation
    var rights: Rights
    var state = AttachmentState.ok
    /// It was there before a restart, and has not said where it stands.
    var isUnsettled = false
    /// Revoked by someone, so only `restore` brings it back; else mapping again does.
    var isBarred = false
    /// Its lease or token has ended: whatever revokes it, it is DEAD.
    var isCondemned = false
    /// It was revoked and has not said that it let go: it may have the memory still.
    var isSilent = false
    var isPinned = false
    /// It counts its accesses in a word that the server reads.
    var hasWord = false
    /// It knows that its generation is old.
    var wasToldToFollow = false
    var wasToldOfMove = false
    var owesMove = false
    /// It is charged for an old generation that it keeps from being released.
    var isSuspect = false
    var revocation: Slot?
    var token: Slot?
    var terms: AttachTerms
    /// Of 64 bits, like those lost: a client may begin as many as it likes, and would make 32 overflow in an afternoon.
    var accesses: UInt64 = 0
    /// Accesses that were cut off, whose ends are still to come.
    var lost: UInt64 = 0
    var reserved: UInt32 = 0
    /// What the word said before the move that is about to be decided.
    var counted: UInt32 = 0
    var lease: Slot?
    var leaseEnd: Instant?
}

struct Move: Sendable {
    enum Phase: Sendable { case invalidating, fencing, copying }
    var mover: Slot
    var terms: MoveTerms
    /// The token that its right to move comes from, shown or through an attachment made with it.
    var lender: TokenID?
    var phase = Phase.invalidating
    var owing = 0
    var cutOff: [Holder] = []
    var until: Instant
    var timer: Slot?
}

struct Revocation: Sendable {
    var buffer: Slot
    var asker: ClientID?
    var number: RequestNumber
    var terms: RevokeTerms
    var farewell: CutOffReason
    var until: Instant
    var owing = 0
    var unconfirmed: [Holder] = []
    /// All have answered; the count decides between enforced and less.
    var isLooking = false
    var interval: Interval
    var timer: Slot?
}

/// A generation that is no longer live, or whose buffer is suspect, and is not yet known to be released.
struct Quarantined: Sendable {
    var buffer: Slot
    var generation: Generation
    var backing: Backing
    var suspects = 0
    /// Importers that were not told of the move have been told now.
    var hasToldIdle = false
    /// With no suspect left the owner carries the bytes.
    var isOwners = false
    var interval: Interval
    var timer: Slot?
}

struct PendingFence: Sendable {
    var id: FenceID
    var buffer: Slot
    /// nil: its owner is dead, and it is still waited for.
    var client: Slot?
    var timeline: UInt32
    var point: UInt64
    var usage: Usage
    var kind: FenceTerms.Kind
    var order: UInt64
    /// A newer one has its slot; someone still waits for it.
    var isSuperseded = false
    var timer: Slot?
}

/// How the worst fence of a class ended that no later write has made good.
struct Latch: Sendable {
    var status = FenceStatus.ok
    /// The newest fence that ended badly; a later write makes it good.
    var order: UInt64 = 0
    /// Which end of the buffer's it was, to tell the first of two errors.
    var ending: UInt64 = .max
}

struct Wait: Sendable {
    enum Reason: Sendable {
        case fences(Usage, before: UInt64, remaining: Int, FenceStatus)
        case attach(AttachTerms)
        case map(AttachmentID)
    }
    var client: Slot
    var number: RequestNumber
    var buffer: Slot
    var reason: Reason
    var timer: Slot?
}

struct Ticket: Sendable {
    var number: LockNumber
    var client: Slot
    var request: RequestNumber
    var lasting: Interval
    var isGranted = false
    var claims = Chain()
    var timer: Slot?
}

/// A ticket's place in the queue for one buffer.
struct Claim: Sendable {
    var ticket: Slot
    var buffer: Slot
}

struct Token: Sendable {
    var id: TokenID
    var buffer: Slot
    var maker: UInt32
    var rights: Rights
    var uses: UInt32?
    var end: Instant?
    var parent: Slot?
    var depth: UInt32
    var children = Chain()
    var attachments = Chain()
    var timer: Slot?
}

struct NameKey: Hashable, Sendable {
    var uid: UInt32
    var name: String
}
