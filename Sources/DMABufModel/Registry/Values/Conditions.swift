// SPDX-License-Identifier: Apache-2.0

/// What whoever runs the registry lays upon a client, beyond the limits that hold for all: nothing, unless it is said.
public struct Conditions: Hashable, Sendable {
    /// Of the client's uid, not of the client alone.
    public var ceilings = Ceilings()
    /// nil: a revocation is as its asker wants it, and who ignores the end of a lease or of a token is cut off.
    public var ladder: Ladder?

    public init() {}
}

/// The most that one uid may be charged of a resource, whatever is left of it, and the line of the policy that says so.
public struct Ceiling: Hashable, Sendable {
    public var limit: UInt64
    public var line: UInt32

    public init(limit: UInt64, line: UInt32) {
        self.limit = limit
        self.line = line
    }
}

public struct Ceilings: Hashable, Sendable {
    /// By the resource's number; empty as long as there is none, so that asking costs nothing.
    private var entries: [Ceiling?] = []

    public init() {}

    public subscript(resource: Resource) -> Ceiling? {
        get { entries.isEmpty ? nil : entries[Int(resource.rawValue)] }
        set {
            if entries.isEmpty { entries = Array(repeating: nil, count: Resource.allCases.count) }
            entries[Int(resource.rawValue)] = newValue
        }
    }
}

/// What happens to a holder that is to let go, and does not.
public struct Ladder: Hashable, Sendable {
    public enum Last: UInt8, Hashable, CaseIterable, Sendable {
        /// It has lost its attachment, is told so, and stays.
        case told
        /// Its connection ends, and with it all that it has.
        case cutOff
        /// Its process is killed too.
        case killed
    }

    /// How long it has, at the end of its lease or of its token.
    public var grace: Interval
    /// The last step; at the end of a lease or of a token, and of every revocation.
    public var last: Last

    public init(grace: Interval, last: Last) {
        self.grace = grace
        self.last = last
    }
}

/// What a uid asked for over its ceiling.
public struct CeilingExcess: Hashable, Sendable {
    public var resource: Resource
    public var line: UInt32
    public var limit: UInt64
    public var share: UInt64

    public init(resource: Resource, line: UInt32, limit: UInt64, share: UInt64) {
        self.resource = resource
        self.line = line
        self.limit = limit
        self.share = share
    }
}
