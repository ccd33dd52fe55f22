// SPDX-License-Identifier: Apache-2.0

/// Who a client is: what the kernel said at accept (`SO_PEERCRED`, `SO_PEERGROUPS`, `SO_PEERPIDFD`), never its own word.
public struct Identity: Hashable, Sendable {
    public var uid: UInt32
    public var gids: [UInt32]
    public var pid: Int32

    public init(uid: UInt32, gids: [UInt32] = [], pid: Int32) {
        self.uid = uid
        self.gids = gids
        self.pid = pid
    }

    /// What a user namespace shows for every uid it does not know: many people, so nobody.
    public static let overflowUID: UInt32 = 65534
}

/// What the kernel says of the dma-buf behind one generation.
public struct Backing: Hashable, Sendable {
    /// The dma-buf's inode number, a counter that the kernel never reuses; bit 63 is set for a stand-in, which is
    /// counted elsewhere.
    public var inode: UInt64
    /// Its true size (`lseek(SEEK_END)`), never the sender's word.
    public var byteCount: UInt64
    /// How many of the registry's descriptors it takes.
    public var descriptorCount: UInt32
    /// Whether the `count:` line of its fdinfo proves release (dma-heaps, udmabufs whose memfd never left us).
    public var provesRelease: Bool

    public init(inode: UInt64, byteCount: UInt64, descriptorCount: UInt32 = 1, provesRelease: Bool = true) {
        self.inode = inode
        self.byteCount = byteCount
        self.descriptorCount = descriptorCount
        self.provesRelease = provesRelease
    }
}
