// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

/// The kernel's virtual GEM device: memory and fences without hardware, made for tests. Module vgem; device
/// `/dev/dri/cardN`, usually of group video.
public struct VGEMExporter: Exporter {
    public let name: String
    public let offer: MemoryOffer
    private let node: DRMNode

    static let backend = ExporterBackend("vgem", .optional("NODE")) { node throws(DMABufError) in
        try VGEMExporter(node: node)
    }

    /// Opens `node` ("card1" or a path), or the first vgem card there is. Throws `unavailable` without one.
    public init(node: String? = nil) throws(DMABufError) {
        self.node = try attempting(
            "vgem: open \(node?.escapedForDisplay ?? "a vgem card")",
            remedy: "load the module vgem (CONFIG_DRM_VGEM), or join the card's group (video)"
        ) { () throws(Errno) in if let node { try DRMNode(node) } else { try VGEM.open() } }
        guard self.node.driver == VGEM.driver else {
            throw DMABufError(.unsupported, "vgem: \(self.node.path) belongs to \(self.node.driver)")
        }
        name = "vgem:\(self.node.name)"
        offer = MemoryOffer(
            [.cpuMappable, .kernelFences], sizeLimit: DRMNode.dumbSizeLimit, strideAlignment: 1, device: self.node.path,
            permission: "group video")
    }

    public func export(_ request: BufferRequest) throws(DMABufError) -> DescribedBuffer {
        try check(request)
        return try node.exportDumbBuffer(request, exporter: name)
    }
}
