// SPDX-License-Identifier: Apache-2.0

/// Which buffer, for as long as it lives: 128 random bits that come with the request, because the rules make none.
public struct BufferID: Hashable, Sendable {
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Half of a random number tells as much as the whole.
    public func hash(into hasher: inout Hasher) { hasher.combine(low) }
}

/// Which dma-buf stands behind a buffer. It grows by one with every move that is committed.
public struct Generation: Hashable, Comparable, Sendable {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static let first = Generation(1)
    public var next: Generation { Generation(rawValue + 1) }
    /// Of a generation that is not the first.
    public var previous: Generation { Generation(rawValue - 1) }
    public static func < (older: Generation, newer: Generation) -> Bool { older.rawValue < newer.rawValue }
}

/// A connection. Never given twice in the life of a registry.
public struct ClientID: Hashable, Sendable {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// One client's attachment to one buffer. Never given twice.
public struct AttachmentID: Hashable, Sendable {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// A fence in a reservation. Never given twice.
public struct FenceID: Hashable, Sendable {
    public let rawValue: UInt64
    /// So many are named at most.
    public static let listLimit = 1024
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// The ticket of a lock, and its number once granted: older is smaller. Never given twice.
public struct LockNumber: Hashable, Sendable {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// What the rules see of a token: a hash of its secret. So a look-up's timing tells nothing about a secret, and a journal
/// of requests holds none.
public struct TokenID: Hashable, Sendable {
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// The number that a client gives its request; the answer carries it back.
public struct RequestNumber: Hashable, Sendable {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}
