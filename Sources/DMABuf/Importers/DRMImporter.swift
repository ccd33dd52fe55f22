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
        return Attachment(
            buffer: buffer, access: access, importer: name, place: .gem(try node.importBuffer(buffer, importer: name)))
    }
}
