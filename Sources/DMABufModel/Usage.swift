// SPDX-License-Identifier: Apache-2.0

/// What a fence stands for in a reservation, in the kernel's order: asking for a class returns the lower ones too.
///
/// The corresponding kernel name is `enum dma_resv_usage`.
public enum Usage: UInt8, Comparable, CaseIterable, Sendable {
    /// Memory management: a move or a clear. Everyone waits for it.
    case kernel = 0
    case write = 1
    case read = 2
    /// No implicit synchronisation; counted, but waited for only where memory is moved or freed.
    case bookkeep = 3

    public static func < (lower: Usage, higher: Usage) -> Bool { lower.rawValue < higher.rawValue }

    /// The highest class that `access` has to wait for. It looks confusing and is right: a *writer* must wait for the
    /// readers, so it asks for `read`, which brings the writers too; a reader asks for `write`.
    ///
    /// The corresponding kernel function is `dma_resv_usage_rw`.
    public static func waited(before access: Access) -> Usage {
        access.contains(.write) ? .read : .write
    }
}
