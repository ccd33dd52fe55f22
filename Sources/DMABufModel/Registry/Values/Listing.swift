// SPDX-License-Identifier: Apache-2.0

/// What a list says of a buffer.
public struct Listing: Hashable, Sendable {
    public var buffer: BufferID
    public var generation: Generation
    public var byteCount: UInt64
    /// The owner's uid.
    public var owner: UInt32
    public var attachments: UInt32
    public var kept: Kept
    public var state: BufferState
    public var names: [String]

    public init(
        buffer: BufferID, generation: Generation, byteCount: UInt64, owner: UInt32, attachments: UInt32, kept: Kept,
        state: BufferState, names: [String]
    ) {
        self.buffer = buffer
        self.generation = generation
        self.byteCount = byteCount
        self.owner = owner
        self.attachments = attachments
        self.kept = kept
        self.state = state
        self.names = names
    }
}

/// What is true of a buffer now, besides being there.
public struct BufferState: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static var moving: BufferState { BufferState(rawValue: 1 << 0) }
    /// A device of a dead client's may still be writing to it.
    public static var quarantined: BufferState { BufferState(rawValue: 1 << 1) }
    /// Its owner has let go of it; the attached may finish.
    public static var withdrawn: BufferState { BufferState(rawValue: 1 << 2) }
    public static var pinned: BufferState { BufferState(rawValue: 1 << 3) }
    public static var locked: BufferState { BufferState(rawValue: 1 << 4) }
    public static var all: BufferState { BufferState(rawValue: 0x1f) }
}

public struct Inspection: Hashable, Sendable {
    public var listing: Listing
    public var backing: Backing
    /// The first ``Holder/listLimit`` of ``Listing/attachments``.
    public var holders: [Holder]
    public var quarantined: [Generation]
    public var fences: FenceSummary

    public init(
        listing: Listing, backing: Backing, holders: [Holder], quarantined: [Generation], fences: FenceSummary
    ) {
        self.listing = listing
        self.backing = backing
        self.holders = holders
        self.quarantined = quarantined
        self.fences = fences
    }
}
