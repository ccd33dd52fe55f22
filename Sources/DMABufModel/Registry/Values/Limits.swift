// SPDX-License-Identifier: Apache-2.0

/// The bounds of a registry. The first seven are shared between uids in fair shares, see ``Registry/check(_:_:of:)``.
public struct Limits: Hashable, Sendable {
    public var buffers: UInt64 = 65_536
    public var bytes: UInt64 = 1 << 40
    public var descriptors: UInt64 = 262_144
    public var pinnedBytes: UInt64 = 1 << 36
    public var attachments: UInt64 = 1 << 20
    public var quarantinedBytes: UInt64 = 1 << 38
    public var notices: UInt64 = 1 << 20

    public var clients: UInt32 = 16_384
    /// Unread notices of one client, after which it is cut off.
    public var noticesPerClient: UInt32 = 4096
    public var fencesPerBuffer: UInt32 = 64
    public var waitsPerClient: UInt32 = 64
    public var buffersPerLock: UInt32 = 64
    public var tokensPerBuffer: UInt32 = 256
    public var sharesPerBuffer: UInt32 = 16
    public var namesPerBuffer: UInt32 = 4
    public var delegationDepth: UInt32 = 8

    public var longestMove: Interval = .seconds(10)
    public var longestCopy: Interval = .seconds(30)
    public var longestRevoke: Interval = .seconds(10)
    public var longestWait: Interval = .seconds(10)
    public var longestLock: Interval = .seconds(10)
    /// How long after a restart the clients of before are awaited.
    public var longestAbsence: Interval = .seconds(10)
    /// How long a holder has to let go at the end of its lease or of its token.
    public var leaseGrace: Interval = .milliseconds(500)
    /// How long an idle importer that looks for itself may keep old memory before it is told of the move.
    public var idlePatience: Interval = .milliseconds(64)
    /// Release is looked at again after this, and then twice as long, and so on…
    public var firstLook: Interval = .milliseconds(1)
    /// …up to this.
    public var slowestLook: Interval = .seconds(1)

    public init() {}

    public subscript(resource: Resource) -> UInt64 {
        get {
            switch resource {
            case .buffers: buffers
            case .bytes: bytes
            case .descriptors: descriptors
            case .pinnedBytes: pinnedBytes
            case .attachments: attachments
            case .quarantinedBytes: quarantinedBytes
            case .notices: notices
            }
        }
        set {
            switch resource {
            case .buffers: buffers = newValue
            case .bytes: bytes = newValue
            case .descriptors: descriptors = newValue
            case .pinnedBytes: pinnedBytes = newValue
            case .attachments: attachments = newValue
            case .quarantinedBytes: quarantinedBytes = newValue
            case .notices: notices = newValue
            }
        }
    }
}
