// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

/// Any DRM device, through PRIME. Device `/dev/dri/cardN` or `renderDN`, usually of group video or render.
public struct DRMImporter: Importer {
    public let name: String
    public let requirements: Requirements
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
        requirements = Requirements(party: self.name, device: node.path, origin: node.origin)
    }

    public var driver: String { node.driver }

    public func attach(_ buffer: DMABuffer, for access: Access) throws(DMABufError) -> Attachment {
        try check(buffer)
        let gem = try attempting("\(name): import dma-buf \(buffer.inode) of \(buffer.exporterName)") {
            () throws(Errno) in try node.importBuffer(buffer.descriptor)
        }
        return Attachment(buffer: buffer, access: access, importer: name, place: .gem(gem))
    }
}

extension DRMNode {
    /// Whose dma-bufs the driver imports, nil for anyone's.
    var origin: Requirements.Origin? {
        if !importsPrime {
            return Requirements.Origin(exporters: [], reason: "\(driver) lacks DRM_PRIME_CAP_IMPORT")
        }
        if driver == VirtIOGPU.driver, !VirtIOGPU.hasBlobResources(self) {
            return Requirements.Origin(
                exporters: [VirtIOGPU.driver],
                reason: "\(driver) imports foreign dma-bufs only with blob resources, which this device has not")
        }
        return nil
    }
}
