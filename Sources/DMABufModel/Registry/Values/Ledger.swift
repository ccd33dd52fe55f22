// SPDX-License-Identifier: Apache-2.0

/// How much of each resource is charged.
public struct Ledger: Hashable, Sendable {
    public var buffers: UInt64 = 0
    public var bytes: UInt64 = 0
    public var descriptors: UInt64 = 0
    public var pinnedBytes: UInt64 = 0
    public var attachments: UInt64 = 0
    public var quarantinedBytes: UInt64 = 0
    public var notices: UInt64 = 0

    public init() {}

    public var isZero: Bool { self == Ledger() }

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
