// SPDX-License-Identifier: Apache-2.0

/// What someone does to a buffer. The bits are the kernel's (`DMA_BUF_SYNC_READ`, `DMA_BUF_SYNC_WRITE`).
public struct Access: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    // Not `let`: what another module has made would be loaded, and this is folded.
    public static var read: Access { Access(rawValue: 1) }
    public static var write: Access { Access(rawValue: 2) }
    public static var readWrite: Access { [.read, .write] }

    /// Whether it is one of the three that make sense.
    public var isValid: Bool { rawValue >= 1 && rawValue <= 3 }
}

extension Access: CustomStringConvertible {
    public var description: String {
        switch self {
        case .read: "read"
        case .write: "write"
        case .readWrite: "read-write"
        default: "access \(rawValue)"
        }
    }
}
