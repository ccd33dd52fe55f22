// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// An RDMA device: a name of `/sys/class/infiniband`, and the node by which verbs reach it.
public struct RDMADevice: Equatable, Sendable {
    /// "mlx5_0", "rxe0".
    public let name: String
    /// nil for a software device, which sits on no bus.
    public let bus: BusAddress?
    /// `/dev/infiniband/uverbsN`, or nil while the module ib_uverbs is not loaded.
    public let verbsPath: String?
    /// Why verbs cannot be used, nil if they can. The node is not opened: its rights are looked at.
    public let obstacle: Obstacle?

    static let subsystem = "infiniband"
    static let verbsSubsystem = "infiniband_verbs"

    static func discover() throws(Errno) -> [RDMADevice] {
        let verbs = try Udev.devices(inSubsystem: verbsSubsystem)
        return try Udev.devices(inSubsystem: subsystem)
            .map { RDMADevice($0, verbs: verbs) }
            .sorted { nodeOrder($0.name, $1.name) }
    }

    private init(_ device: Udev.Device, verbs: [Udev.Device]) {
        name = device.name
        bus = BusAddress(of: device)
        verbsPath = verbs.first { Sysfs.text("\($0.syspath)/ibdev") == device.name }?.node
        obstacle = Self.obstacle(verbsPath)
    }

    private static func obstacle(_ path: String?) -> Obstacle? {
        guard let path else {
            return Obstacle(
                .noSuchFileOrDirectory, "no verbs node: the module ib_uverbs is not loaded",
                remedy: "sudo modprobe ib_uverbs")
        }
        let answer = asking(path) { () throws(Errno) in try FileAccess.checkReadWrite(path) }
        if case .failure(let reason) = answer { return reason }
        return nil
    }
}
