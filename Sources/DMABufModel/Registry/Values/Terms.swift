// SPDX-License-Identifier: Apache-2.0

/// How long a registered buffer lives.
public enum Kept: UInt8, Hashable, CaseIterable, Sendable {
    /// Until its owner's client ends.
    case owner
    /// Until the owner and the last attachment are gone.
    case lastAttachment
    /// Until it is withdrawn.
    case registry
}

/// What an importer can bear.
public enum Mobility: UInt8, Hashable, CaseIterable, Sendable {
    /// It lets go when told and maps again: the kernel's dynamic importer.
    case movable
    /// It can lose the buffer for good, but not follow it.
    case revocable
    /// It cannot let go: counted, refusable, vetoes moves.
    case pinned
}

public struct Registration: Hashable, Sendable {
    public var backing: Backing
    public var kept: Kept
    /// Its first name; a buffer needs none.
    public var name: String?

    public init(backing: Backing, kept: Kept = .lastAttachment, name: String? = nil) {
        self.backing = backing
        self.kept = kept
        self.name = name
    }
}

public struct AttachTerms: Hashable, Sendable {
    public var access: Access
    public var mobility: Mobility
    /// An agreed end, after which the revoke ladder starts.
    public var lease: Interval?
    public var token: TokenID?

    public init(_ access: Access, _ mobility: Mobility = .movable, lease: Interval? = nil, token: TokenID? = nil) {
        self.access = access
        self.mobility = mobility
        self.lease = lease
        self.token = token
    }
}

public struct MoveTerms: Hashable, Sendable {
    /// What happens to a move whose holders do not acknowledge in time. Asked for up front, so nobody is surprised.
    public enum Late: UInt8, Hashable, CaseIterable, Sendable {
        case abort
        case cutOff
    }

    /// Who fills the new memory: the mover itself, or the server's worker for memory that the server allocated.
    public enum Copier: UInt8, Hashable, CaseIterable, Sendable {
        case mover
        case server
    }

    public var within: Interval
    public var late: Late
    public var copier: Copier
    public var token: TokenID?
    /// The mover's own lock on the buffer, if it has one.
    public var lock: LockNumber?
    /// Where the server is to put it: an exporter, in the grammar of the tool. The rules do not look at it.
    public var placement: String?

    public init(
        within: Interval, late: Late = .abort, copier: Copier = .mover, token: TokenID? = nil,
        lock: LockNumber? = nil, placement: String? = nil
    ) {
        self.placement = placement
        self.within = within
        self.late = late
        self.copier = copier
        self.token = token
        self.lock = lock
    }
}

public struct RevokeTerms: Hashable, Sendable {
    public enum Target: Hashable, Sendable {
        case everyone
        case attachment(AttachmentID)
    }

    public var target: Target
    public var within: Interval
    /// DEAD, never to come back, instead of REVOKED.
    public var isFinal: Bool
    /// Whether a client that does not answer loses its connection at the deadline, the ladder's third step.
    public var cutsOff: Bool
    public var token: TokenID?

    public init(
        _ target: Target, within: Interval, isFinal: Bool = false, cutsOff: Bool = false, token: TokenID? = nil
    ) {
        self.target = target
        self.within = within
        self.isFinal = isFinal
        self.cutsOff = cutsOff
        self.token = token
    }
}

public struct FenceTerms: Hashable, Sendable {
    /// What the descriptor is. The kinds differ in what the death of the promiser means.
    public enum Kind: UInt8, Hashable, CaseIterable, Sendable {
        /// A device may go on writing after its owner's death, so it is waited for.
        case syncFile = 1
        /// Only its owner could have signalled it.
        case eventFD
        /// The work of a process, which ends with it, whoever promised it.
        case pidFD
    }

    /// The client's own number for a timeline; (client, timeline) is the kernel's fence context.
    public var timeline: UInt32
    /// Where on the timeline; later replaces earlier.
    public var point: UInt64
    public var usage: Usage
    public var kind: Kind
    /// Its own deadline, after which it is an error.
    public var within: Interval

    public static let defaultInterval = Interval.seconds(2)
    public static let longestInterval = Interval.seconds(10)

    public init(
        timeline: UInt32, point: UInt64, usage: Usage, kind: Kind = .syncFile,
        within: Interval = FenceTerms.defaultInterval
    ) {
        self.timeline = timeline
        self.point = point
        self.usage = usage
        self.kind = kind
        self.within = within
    }
}

public struct TokenTerms: Hashable, Sendable {
    public var rights: Rights
    public var uses: UInt32?
    public var lasts: Interval?
    /// The token it is delegated from; the owner needs none.
    public var parent: TokenID?

    public init(_ rights: Rights, uses: UInt32? = nil, lasts: Interval? = nil, parent: TokenID? = nil) {
        self.rights = rights
        self.uses = uses
        self.lasts = lasts
        self.parent = parent
    }
}

/// Whom an owner lets see a buffer besides its own uid, and with which rights.
public struct Share: Hashable, Sendable {
    public enum Audience: Hashable, Sendable {
        case user(UInt32)
        case group(UInt32)
        case everyone
    }

    public var audience: Audience
    public var rights: Rights

    public init(_ audience: Audience, _ rights: Rights) {
        self.audience = audience
        self.rights = rights
    }
}

public struct Rights: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static var attachRead: Rights { Rights(rawValue: 1 << 0) }
    public static var attachWrite: Rights { Rights(rawValue: 1 << 1) }
    public static var fence: Rights { Rights(rawValue: 1 << 2) }
    public static var pin: Rights { Rights(rawValue: 1 << 3) }
    public static var move: Rights { Rights(rawValue: 1 << 4) }
    public static var revoke: Rights { Rights(rawValue: 1 << 5) }
    public static var delegate: Rights { Rights(rawValue: 1 << 6) }
    public static var inspect: Rights { Rights(rawValue: 1 << 7) }
    public static var all: Rights { Rights(rawValue: 0xff) }

    /// The rights that an access needs.
    public static func needed(for access: Access) -> Rights {
        var rights: Rights = []
        if access.contains(.read) { rights.insert(.attachRead) }
        if access.contains(.write) { rights.insert(.attachWrite) }
        return rights
    }
}
