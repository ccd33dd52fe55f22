// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// A DRM node: a card (display and rendering) or a render node, both of `/dev/dri`.
public struct DRMDevice: Equatable, Sendable {
    public let path: String
    /// nil for a node that only `/dev` knows, as in a container without `/sys`.
    public let bus: BusAddress?
    /// The seat that it is assigned to, "seat0" where nobody said otherwise.
    public let seat: String
    /// What the driver says of itself, or why it could not be asked.
    public let abilities: Result<Abilities, Obstacle>

    public struct Abilities: Equatable, Sendable {
        /// "vgem", "virtio_gpu", "i915".
        public let driver: String
        public let importsPrime: Bool
        public let exportsPrime: Bool
        /// A card's CPU-drawable linear buffers; a render node has none.
        public let dumbBuffers: Bool
        public let syncobj: Bool
        public let timelineSyncobj: Bool
    }

    /// The file name: "card0", "renderD128".
    public var name: String { fileName(path) }
    public var isRenderNode: Bool { name.hasPrefix("renderD") }
}

extension DRMDevice {
    static let subsystem = "drm"

    /// Connectors are of the same subsystem, and have no node.
    static func discover() throws(Errno) -> [DRMDevice] {
        let known = try Udev.devices(inSubsystem: subsystem).filter { isNode($0.name) }
        let paths = Set(known.compactMap(\.node))
        let unknown = DRMNode.names.map { "\(DRMNode.folder)/\($0)" }.filter { !paths.contains($0) }
        return (known.compactMap(DRMDevice.init) + unknown.map { DRMDevice(path: $0, bus: nil, seat: defaultSeat) })
            .sorted { nodeOrder($0.name, $1.name) }
    }

    private init?(_ device: Udev.Device) {
        guard let path = device.node else { return nil }
        self.init(path: path, bus: BusAddress(of: device), seat: device.properties["ID_SEAT"] ?? Self.defaultSeat)
    }

    private init(path: String, bus: BusAddress?, seat: String) {
        (self.path, self.bus, self.seat) = (path, bus, seat)
        abilities = asking(path) { () throws(Errno) in Abilities(of: try DRMNode(path)) }
    }

    private static let defaultSeat = "seat0"

    private static func isNode(_ name: String) -> Bool {
        ["card", "renderD"].contains { name.hasPrefix($0) && Int(name.dropFirst($0.count)) != nil }
    }
}

extension DRMDevice.Abilities {
    /// vgem makes dumb buffers, and yet the capability reads as zero: the kernel asks only display drivers for it.
    fileprivate init(of node: DRMNode) {
        self.init(
            driver: node.driver, importsPrime: node.importsPrime, exportsPrime: node.exportsPrime,
            dumbBuffers: node.isPrimary && (node.hasDumbBuffers || node.driver == VGEM.driver),
            syncobj: node.capability(.syncobj) != 0,
            timelineSyncobj: node.capability(.timelineSyncobj) != 0)
    }
}
