// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

/// Any DRM device, through PRIME. Device `/dev/dri/cardN` or `renderDN`, usually of group video or render.
public struct DRMImporter: Importer {
    public let name: String
    private let node: DRMNode

    static let backend = ImporterBackend(
        "drm", .required("NODE"), candidates: { DRMNode.names }
    ) { node throws(DMABufError) in try DRMImporter(node: node ?? "") }

    /// Throws `unavailable` if the node cannot be opened.
    public init(node name: String) throws(DMABufError) {
        node = try attempting(
            "drm:\(name.escapedForDisplay): open it", remedy: "name a node of /dev/dri that this user may open"
        ) { () throws(Errno) in try DRMNode(name) }
        self.name = "drm:\(node.name)"
    }

    public var driver: String { node.driver }

    public func exclusion(of buffer: DMABuffer) -> String? {
        if buffer.isStandIn { return "a memfd is no dma-buf, and a device imports nothing else" }
        if !node.importsPrime { return "\(node.driver) imports no dma-bufs" }
        if node.driver == VirtIOGPU.driver, buffer.exporterName != VirtIOGPU.driver, !VirtIOGPU.hasBlobResources(node) {
            return "virtio_gpu imports foreign dma-bufs only with blob resources, which this device has not"
        }
        return nil
    }

    public func attach(_ buffer: DMABuffer, for access: Access) throws(DMABufError) -> Attachment {
        try check(buffer)
        let gem = try attempting("\(name): import dma-buf \(buffer.inode) of \(buffer.exporterName)") {
            () throws(Errno) in try node.importBuffer(buffer.descriptor)
        }
        return Attachment(buffer: buffer, access: access, importer: name, place: .gem(gem))
    }
}
