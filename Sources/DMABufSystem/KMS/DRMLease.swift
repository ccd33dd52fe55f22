// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc
public import SystemPackage

/// Some outputs of a card that its master lends to another process. Taken back when the value ends.
///
/// | Swift        | C function             |
/// |--------------|------------------------|
/// | `init`       | `drmModeCreateLease`   |
/// | `descriptor` | –                      |
/// | end          | `drmModeRevokeLease`   |
public struct DRMLease: ~Copyable, Sendable {
    private let node: DRMNode
    private let number: UInt32
    /// What the lessee opens the outputs with: see ``DRMNode/init(lease:)``.
    public let descriptor: Descriptor

    /// Lends connectors, CRTCs and planes, by their numbers: one of each at least, and each to one lessee at a time
    /// (`resourceBusy`). `node` is the card's master and stays that.
    public init(of objects: [UInt32], from node: DRMNode) throws(Errno) {
        var number: UInt32 = 0
        let file = unsafe drmModeCreateLease(
            node.descriptor.number, objects, CInt(objects.count), O_CLOEXEC, &number)
        guard file >= 0 else { throw Errno(rawValue: file == -1 ? errno : -file) }
        descriptor = Descriptor(adopting: file)
        self.node = node
        self.number = number
    }

    deinit { drmModeRevokeLease(node.descriptor.number, number) }
}
