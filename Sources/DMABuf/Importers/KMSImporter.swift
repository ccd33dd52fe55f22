// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
public import DMABufSystem
import SystemPackage

/// The display engine of a card, which takes buffers in to show them: see ``Picture`` and ``Screen``. Device
/// `/dev/dri/cardN`, usually of group video; showing needs the card's DRM master besides.
public struct KMSImporter: Importer {
    public let name: String
    /// What it can show, as the driver states it.
    public let requirements: Requirements
    package let node: DRMNode
    /// Whether the driver sets everything together, with fences; otherwise mode and picture are set one by one.
    let isAtomic: Bool

    static let backend = ImporterBackend(
        "kms", .required("NODE"), candidates: { DRMNode.names.filter { $0.hasPrefix("card") && !VGEM.owns($0) } }
    ) { node throws(DMABufError) in try KMSImporter(node: node ?? "") }

    /// Throws `unavailable` if the node cannot be opened, `unsupported` if its device has no display engine.
    public init(node name: String) throws(DMABufError) {
        let node = try attempting(
            "kms:\(name.escapedForDisplay): open it", remedy: "name a card of /dev/dri that this user may open"
        ) { () throws(Errno) in try DRMNode(name) }
        try self.init(node)
    }

    /// Takes over a lease that a compositor has given: its descriptor, on which the leased outputs are all there is.
    ///
    /// The corresponding ioctl of the compositor's is `DRM_IOCTL_MODE_CREATE_LEASE`.
    public init(lease descriptor: consuming Descriptor) throws(DMABufError) {
        let node: DRMNode
        do throws(Errno) { node = try DRMNode(lease: descriptor) } catch {
            throw .system("take a lease of a card's outputs", error)
        }
        try self.init(node)
    }

    private init(_ node: DRMNode) throws(DMABufError) {
        let name = "kms:\(node.name)"
        guard node.isPrimary, node.hasDisplay else {
            throw DMABufError(.unsupported, "\(name): \(node.driver) has no display engine")
        }
        self.node = node
        self.name = name
        isAtomic = (try? node.setClientCapability(.atomic)) != nil
        if !isAtomic { try? node.setClientCapability(.universalPlanes) }
        do throws(Errno) { requirements = try Requirements(party: name, scanoutOf: node) } catch {
            throw .device("\(name): ask what it can show", error, node)
        }
    }

    public var driver: String { node.driver }

    public func attach(_ buffer: DMABuffer, for access: Access) throws(DMABufError) -> Attachment {
        try check(buffer)
        return Attachment(
            buffer: buffer, access: access, importer: name, place: .gem(try node.importBuffer(buffer, importer: name)))
    }
}
