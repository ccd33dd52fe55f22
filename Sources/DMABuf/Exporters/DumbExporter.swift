// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

/// Dumb buffers of any display driver: linear, meant for the CPU to draw and the display to show. Device
/// `/dev/dri/cardN`, usually of group video.
public struct DumbExporter: Exporter {
    public let name: String
    public let offer: MemoryOffer
    private let node: DRMNode

    static let backend = ExporterBackend(
        "dumb", .required("NODE"), candidates: { DRMNode.names.filter { $0.hasPrefix("card") && !VGEM.owns($0) } }
    ) { node throws(DMABufError) in try DumbExporter(node: node ?? "") }

    /// Throws `unavailable` if the node cannot be opened, `unsupported` if it has no dumb buffers or exports none.
    public init(node name: String) throws(DMABufError) {
        node = try attempting(
            "dumb:\(name.escapedForDisplay): open it", remedy: "name a card of /dev/dri that this user may open"
        ) { () throws(Errno) in try DRMNode(name) }
        guard node.isPrimary, node.hasDumbBuffers, node.exportsPrime else {
            throw DMABufError(
                .unsupported, "dumb:\(node.name): \(node.driver) has no dumb buffers that can be exported")
        }
        self.name = "dumb:\(node.name)"
        var traits: MemoryTraits = [.cpuMappable, .kernelFences]
        if node.hasDisplay { traits.insert(.scanout) }
        offer = MemoryOffer(
            traits, sizeLimit: DRMNode.dumbSizeLimit, strideAlignment: 1, device: node.path, permission: "group video")
    }

    public func export(_ request: BufferRequest) throws(DMABufError) -> DescribedBuffer {
        try check(request)
        return try node.exportDumbBuffer(request, exporter: name)
    }
}
