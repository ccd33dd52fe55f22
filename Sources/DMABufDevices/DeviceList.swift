// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
public import SystemPackage

/// What this machine has that exports or imports dma-bufs, at the moment of asking.
///
/// From libudev (which reads `/sys`, and needs no udevd) and from the devices themselves. A device that cannot be used is
/// listed with the reason; nothing here throws.
public struct DeviceList: Equatable, Sendable {
    public let drm: [DRMDevice]
    public let udmabuf: UDMABufDevice
    public let heaps: [DMAHeapDevice]
    public let v4l2: [V4L2Device]
    public let rdma: [RDMADevice]
    /// The subsystems of which `/sys` gave no list, and why.
    public let unlisted: [Unlisted]

    public struct Unlisted: Hashable, Sendable {
        public let subsystem: String
        public let cause: Errno
    }

    /// Opens each device for a moment, which may wake it; every descriptor is closed again on return. May take as long as
    /// the slowest driver: a few milliseconds as a rule.
    public static func discover() -> DeviceList {
        var unlisted: [Unlisted] = []
        func list<Device>(
            _ subsystem: String, _ discover: () throws(Errno) -> [Device]
        ) -> [Device] {
            do throws(Errno) { return try discover() } catch {
                unlisted.append(Unlisted(subsystem: subsystem, cause: error))
                return []
            }
        }
        let drm = list(DRMDevice.subsystem, DRMDevice.discover)
        let heaps = list(DMAHeapDevice.subsystem, DMAHeapDevice.discover)
        let v4l2 = list(V4L2Device.subsystem, V4L2Device.discover)
        let rdma = list(RDMADevice.subsystem, RDMADevice.discover)
        return DeviceList(
            drm: drm, udmabuf: .discover(), heaps: heaps, v4l2: v4l2, rdma: rdma, unlisted: unlisted)
    }
}
