// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc
import Synchronization
public import SystemPackage

/// The right to set modes and to turn screens, which one open file of a card has at a time. Given up when the last value of a
/// file ends.
///
/// | Swift      | C function                     |
/// |------------|--------------------------------|
/// | `init`     | `drmSetMaster`                 |
/// | `isMaster` | `drmIsMaster`                  |
/// | end        | `drmDropMaster`                |
public struct DRMMaster: ~Copyable, Sendable {
    private let node: DRMNode

    /// Takes the right. `resourceBusy` while another file has it; `permissionDenied` for a user who is not root on a file
    /// that never had it; `invalidArgument` for a lessee whose lessor has given it up.
    ///
    /// A lessee has it for what was leased to it, and keeps it at the end.
    public init(of node: DRMNode) throws(Errno) {
        try node.masters.withLock { (count) throws(Errno) in
            try nothingOrDRMError(drmSetMaster(node.descriptor.number))
            count += 1
        }
        self.node = node
    }

    deinit {
        node.masters.withLock { count in
            count -= 1
            if count == 0 { drmDropMaster(node.descriptor.number) }
        }
    }
}

extension DRMNode {
    /// Whether this file is the card's master now, or a lessee of it.
    public var isMaster: Bool { drmIsMaster(descriptor.number) != 0 }

    /// The processes that have a card open, as far as this user may see: one of them is its master.
    public static func holders(of path: String) -> [Int] {
        let link = Array(path.utf8)
        return ProcFS.processIDs().filter { process in
            ((try? ProcFS.descriptorLinks(of: process)) ?? []).contains { $0.link == link }
        }
    }

    /// What a file asks to be shown of a card.
    public enum ClientCapability: UInt64, Sendable {
        /// Primary and cursor planes, too.
        case universalPlanes = 2
        /// Properties that are set together; brings universal planes.
        case atomic = 3
    }

    /// `notSupported` or `invalidArgument` where the driver has no such thing.
    ///
    /// The corresponding ioctl is `DRM_IOCTL_SET_CLIENT_CAP`.
    public func setClientCapability(_ capability: ClientCapability) throws(Errno) {
        try nothingOrDRMError(drmSetClientCap(descriptor.number, capability.rawValue, 1))
    }
}
