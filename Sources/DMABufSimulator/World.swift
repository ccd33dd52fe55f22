// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// What the outside must see: a small model of its own, built from what was asked and what was said, never from what the
/// registry remembers. The run chooses its next step from it, and the checks compare every effect with it.
package struct World: Sendable {
    var now = Instant(nanoseconds: 1)
    var peers: [Peer] = []
    var buffers: [SeenBuffer] = []
    var attachments: [SeenAttachment] = []
    var fences: [SeenFence] = []
    var locks: [SeenLock] = []
    var tokens: [SeenToken] = []
    /// Looks at a count that the server owes.
    var looks: [Look] = []
    var copies: [Copy] = []
    /// Who was asked in which step to let go, and did not answer.
    var silent: [(label: UInt64, id: AttachmentID)] = []
    var nextInode: UInt64 = 100
    var nextRequest: UInt64 = 1

    func peer(_ id: ClientID) -> Int? { peers.firstIndex { $0.id == id } }
    /// The last of its number: a number may be given again once all memory of the buffer that had it is back.
    func buffer(_ id: BufferID) -> Int? { buffers.lastIndex { $0.id == id } }
    func attachment(_ id: AttachmentID) -> Int? { attachments.lastIndex { $0.id == id } }
    func fence(_ id: FenceID) -> Int? { fences.lastIndex { $0.id == id } }
    func lock(_ number: LockNumber) -> Int? { locks.lastIndex { $0.number == number } }
}

/// A client as the outside knows it.
struct Peer: Sendable {
    var label: UInt64
    var id: ClientID
    var identity: Identity
    var isAlive = true
    var unread = 0
    var open: [OpenRequest] = []
    /// Notices that ask for something and have not been acted on; a client may come to them late, or never.
    var owed: [Notice] = []
}

/// A request that has not been answered.
struct OpenRequest: Sendable {
    var label: UInt64
    var number: RequestNumber
    var request: Request
    var asked: Instant
    /// Of a lock: the older tickets for one of its buffers when it was asked for, and the locks of one granted since.
    var ahead = 0
    var grants = 0
    /// Of a wait that has begun: the order of the first fence that it does not name, and how those it names have ended.
    var before: Int?
    var merged = FenceStatus.ok
}

struct SeenBuffer: Sendable {
    var label: UInt64
    var id: BufferID
    var owner: Int
    var kept: Kept
    var byteCount: UInt64
    /// One per generation.
    var backings: [Backing]
    var generation = Generation.first
    var isWithdrawn = false
    /// A dead client's device may still be writing.
    var isSuspect = false
    /// Who is suspect still is not told so again.
    var wasSuspect = false
    var latches = [SeenLatch](repeating: SeenLatch(), count: 4)
    var endings = 0
    var nextOrder = 1
    /// Two things ended in one step in an order that cannot be seen, so how its fences ended is not known any more.
    var isUncertain = false
    var mover: Int?
    /// Until when its holders and fences are waited for.
    var moveEnd: Instant?
    /// The token whose right it is moved with.
    var lender: TokenID?
    /// Whose move is over, and who has not been told.
    var untold: Int?
    var isReadyToCopy = false
    /// What the server's word shows, once it shows anything; each renewal is a new stamp.
    var published: Published?
    var stamp = 0
    /// The server copies.
    var isServers = false
    var isEnded = false
    var shares: [Share] = []
    var released: [Generation] = []
}

struct SeenAttachment: Sendable {
    var label: UInt64
    var id: AttachmentID
    var buffer: Int
    var peer: Int
    var isOver = false
    var state = AttachmentState.ok
    /// The step in which it was lost last, and that in which it died.
    var lostAt: UInt64?
    var diedAt: UInt64?
    var access = Access.readWrite
    var generation = Generation.first
    var lease: Instant?
    var accesses = 0
    /// It counts its accesses in a word.
    var hasWord = false
    /// What the word said since the last decision.
    var counted = 0
    /// What the server's word showed when this was granted.
    var stamp: Int?
    /// It has been told that its generation is old.
    var wasToldToFollow = false
    /// Accesses that were cut off, whose ends are still to come.
    var lost = 0
    /// At most so many slots, and at least.
    var reserved = 0
    var surelyReserved = 0
    /// Revoked by someone, so that it does not map again before it is restored.
    var isBarred = false
    /// It was lost without a word, and has not let go as far as is known.
    var isSilent = false
    var question: Question?
    var rights: Rights = []
    /// The token that it took.
    var token: TokenID?
    /// That token has ended, or its lease.
    var isCondemned = false
    /// Told that its buffer moves, and not yet how that ended.
    var awaitsMove = false
}

struct SeenFence: Sendable {
    var label: UInt64
    var id: FenceID
    var buffer: Int?
    var peer: Int?
    var kind = FenceTerms.Kind.syncFile
    var timeline: UInt32?
    var point: UInt64 = 0
    var usage = Usage.kernel
    var order = 0
    /// A newer one has its slot; someone has named it and still waits.
    var isSuperseded = false
    var end: Instant?
    var hasEnded = false
    var isDropped = false
}

struct SeenLock: Sendable {
    var label: UInt64
    var number: LockNumber
    var peer: Int
    var buffers: [BufferID]
    var until: Instant
    var isOver = false
}

struct SeenToken: Sendable {
    var label: UInt64
    var id: TokenID
    var buffer: BufferID
    var peer: Int
    var rights: Rights
    var parent: TokenID?
    var uses: UInt32?
    var end: Instant?
}

struct Look: Hashable, Sendable {
    var label: UInt64
    var buffer: BufferID
    var generation: Generation
}

struct Copy: Sendable {
    var label: UInt64
    var buffer: BufferID
    var generation: Generation
    var byteCount: UInt64
}
