// SPDX-License-Identifier: Apache-2.0

/// What a kind of memory can do, or what someone needs of it.
public struct MemoryTraits: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `mmap` on the descriptor works.
    public static var cpuMappable: MemoryTraits { MemoryTraits(rawValue: 1) }
    /// The buffer has a kernel reservation: sync_files go in and come out.
    public static var kernelFences: MemoryTraits { MemoryTraits(rawValue: 2) }
    /// Its device has a display engine that can show it.
    public static var scanout: MemoryTraits { MemoryTraits(rawValue: 4) }
    /// Physically contiguous.
    public static var contiguous: MemoryTraits { MemoryTraits(rawValue: 8) }
    /// No dma-buf at all, but something that takes its place.
    public static var standIn: MemoryTraits { MemoryTraits(rawValue: 16) }

    /// The names of the traits, for people and JSON.
    public var names: [String] {
        let all: [(MemoryTraits, String)] = [
            (.cpuMappable, "cpu-mappable"), (.kernelFences, "kernel-fences"), (.scanout, "scanout"),
            (.contiguous, "contiguous"), (.standIn, "stand-in"),
        ]
        return all.filter { contains($0.0) }.map(\.1)
    }
}
