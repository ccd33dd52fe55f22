// SPDX-License-Identifier: Apache-2.0

import DMABufSystem

/// Something about this machine's devices changed.
public enum HotplugEvent: Hashable, Sendable {
    /// The kernel has the device. Where udevd runs, its file may get its group and mode a moment later.
    case added(HotplugDevice)
    /// The device is gone; descriptors that are still open answer `ENODEV` from here on.
    case removed(HotplugDevice)
    /// The driver says that something is different: a screen was plugged in, a driver bound.
    case changed(HotplugDevice)
    /// Events were lost: look at everything again with ``DeviceList/discover()``. What the list then says includes all
    /// that was lost, and the events that follow are newer.
    case overflow
}

/// Which device an event is about.
public struct HotplugDevice: Hashable, Sendable {
    /// "drm", "misc" (udmabuf), "dma_heap", "video4linux", "infiniband", "infiniband_verbs".
    public let subsystem: String
    /// "card1".
    public let name: String
    /// Its file; nil for an RDMA device, whose verbs node has an event of its own.
    public let path: String?

    public init(subsystem: String, name: String, path: String?) {
        self.subsystem = subsystem
        self.name = name
        self.path = path
    }
}

extension HotplugEvent {
    static let subsystems = [
        DRMDevice.subsystem, "misc", DMAHeapDevice.subsystem, V4L2Device.subsystem, RDMADevice.subsystem,
        RDMADevice.verbsSubsystem,
    ]

    /// nil for what is no device of ours: a connector of a card, the other miscellaneous devices.
    init?(action: String, subsystem: String, name: String, path: String?) {
        guard path != nil || subsystem == RDMADevice.subsystem else { return nil }
        guard subsystem != "misc" || name == "udmabuf" else { return nil }
        let device = HotplugDevice(subsystem: subsystem, name: name, path: path)
        switch action {
        case "add": self = .added(device)
        case "remove": self = .removed(device)
        default: self = .changed(device)
        }
    }
}
