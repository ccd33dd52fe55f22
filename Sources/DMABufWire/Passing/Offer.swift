// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

public struct Offer: Equatable, Sendable {
    public var description: BufferDescription
    public var backing: MemoryKind
    /// What the receiver may do. A dma-buf's descriptor does not enforce it: see PROTOCOL.md.
    public var access: Access
    public var name: String
    /// Of all bytes of the described memory, in order, once the fences have ended.
    public var checksum: Checksum?
    public var fences: [OfferedFence]

    public init(
        description: BufferDescription, backing: MemoryKind, access: Access, name: String = "",
        checksum: Checksum? = nil, fences: [OfferedFence] = []
    ) {
        self.description = description
        self.backing = backing
        self.access = access
        self.name = name
        self.checksum = checksum
        self.fences = fences
    }
}

public struct OfferedFence: Equatable, Sendable {
    public var kind: Kind
    public var usage: Usage
    /// Nanoseconds from now by which it ends: submitted work with an end, never a hope.
    public var within: UInt64

    public init(kind: Kind, usage: Usage, within: UInt64) {
        self.kind = kind
        self.usage = usage
        self.within = within
    }

    public enum Kind: UInt8, Sendable {
        case syncFile = 1
        case eventfd = 2
        case pidfd = 3
    }
}
