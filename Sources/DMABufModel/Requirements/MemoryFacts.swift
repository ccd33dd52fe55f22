// SPDX-License-Identifier: Apache-2.0

/// What can be known of a piece of memory from its descriptor alone.
public struct MemoryFacts: Equatable, Sendable {
    /// The kernel driver that made it, as fdinfo's `exp_name` says; "memfd" for a stand-in.
    public var exporter: String
    public var isStandIn: Bool
    /// Size in bytes.
    public var byteCount: UInt64

    public init(exporter: String, isStandIn: Bool, byteCount: UInt64) {
        self.exporter = exporter
        self.isStandIn = isStandIn
        self.byteCount = byteCount
    }

    /// Whether it is physically contiguous: known of some exporters, and of what is no larger than a page; nil where the
    /// exporter's name does not tell.
    public var isContiguous: Bool? {
        if byteCount <= 4096 { return true }
        return switch exporter {
        case "videobuf2_dma_contig", "reserved", "default_cma_region", "linux,cma": true
        case "vgem", "udmabuf", "system", "virtio_gpu", "videobuf2_vmalloc", "videobuf2_dma_sg", "memfd": false
        default: nil
        }
    }
}
