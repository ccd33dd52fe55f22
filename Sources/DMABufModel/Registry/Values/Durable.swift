// SPDX-License-Identifier: Apache-2.0

// What of a registry survives its process: see Rules/Surviving.swift. Instants are of the machine's clock, which goes on.

/// A buffer that has not ended.
public struct DurableBuffer: Hashable, Sendable {
    public var id: BufferID
    /// The owner's.
    public var uid: UInt32
    /// The client that owns it; nil once that is gone.
    public var owner: ClientID?
    public var kept: Kept
    public var generation: Generation
    public var backing: Backing
    public var isWithdrawn: Bool
    public var isSuspect: Bool
    public var names: [String]
    public var shares: [Share]

    public init(
        id: BufferID, uid: UInt32, owner: ClientID?, kept: Kept, generation: Generation, backing: Backing,
        isWithdrawn: Bool = false, isSuspect: Bool = false, names: [String] = [], shares: [Share] = []
    ) {
        self.id = id
        self.uid = uid
        self.owner = owner
        self.kept = kept
        self.generation = generation
        self.backing = backing
        self.isWithdrawn = isWithdrawn
        self.isSuspect = isSuspect
        self.names = names
        self.shares = shares
    }
}

/// A client that has joined and not died.
public struct DurableClient: Hashable, Sendable {
    public var id: ClientID
    public var uid: UInt32

    public init(id: ClientID, uid: UInt32) {
        self.id = id
        self.uid = uid
    }
}

public struct DurableAttachment: Hashable, Sendable {
    public var id: AttachmentID
    public var buffer: BufferID
    public var client: ClientID
    public var access: Access
    public var mobility: Mobility
    public var rights: Rights
    public var generation: Generation
    public var state: AttachmentState
    public var isBarred: Bool
    public var isCondemned: Bool
    /// It was revoked and has not said that it let go.
    public var isSilent: Bool
    public var isPinned: Bool
    public var token: TokenID?
    /// When its lease ends.
    public var end: Instant?

    public init(
        id: AttachmentID, buffer: BufferID, client: ClientID, access: Access, mobility: Mobility, rights: Rights,
        generation: Generation, state: AttachmentState = .ok, isBarred: Bool = false, isCondemned: Bool = false,
        isSilent: Bool = false, isPinned: Bool = false, token: TokenID? = nil, end: Instant? = nil
    ) {
        self.id = id
        self.buffer = buffer
        self.client = client
        self.access = access
        self.mobility = mobility
        self.rights = rights
        self.generation = generation
        self.state = state
        self.isBarred = isBarred
        self.isCondemned = isCondemned
        self.isSilent = isSilent
        self.isPinned = isPinned
        self.token = token
        self.end = end
    }
}

public struct DurableToken: Hashable, Sendable {
    /// A hash of its secret.
    public var id: TokenID
    public var buffer: BufferID
    /// The maker's uid.
    public var maker: UInt32
    public var rights: Rights
    public var uses: UInt32?
    public var end: Instant?
    public var parent: TokenID?

    public init(
        id: TokenID, buffer: BufferID, maker: UInt32, rights: Rights, uses: UInt32?, end: Instant?, parent: TokenID?
    ) {
        self.id = id
        self.buffer = buffer
        self.maker = maker
        self.rights = rights
        self.uses = uses
        self.end = end
        self.parent = parent
    }
}

/// All of it.
public struct Durable: Equatable, Sendable {
    public var clients: [DurableClient] = []
    public var buffers: [DurableBuffer] = []
    public var tokens: [DurableToken] = []
    public var attachments: [DurableAttachment] = []

    public init() {}
}

/// Something durable that a step has made, changed or ended.
public enum Change: Hashable, Sendable {
    case client(ClientID)
    case buffer(BufferID)
    case token(TokenID)
    case attachment(AttachmentID)
}
