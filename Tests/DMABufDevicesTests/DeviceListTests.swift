// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@testable import DMABufDevices

@Suite("The list of devices is what /sys and /dev have", .serialized, .leavesNoDescriptor)
struct DeviceListTests {
    let devices = DeviceList.discover()

    @Test("every subsystem was listed, devices or not")
    func listed() { #expect(devices.unlisted == []) }

    @Test("DRM nodes, in their order")
    func drm() {
        let known = Folder.names("/sys/class/drm").filter { name in
            ["card", "renderD"].contains { name.hasPrefix($0) && Int(name.dropFirst($0.count)) != nil }
        }
        #expect(Set(devices.drm.map(\.name)) == Set(known + DRMNode.names))
        #expect(devices.drm.map(\.name).filter(DRMNode.names.contains) == DRMNode.names)
        for device in devices.drm {
            #expect(device.path == "/dev/dri/\(device.name)")
            #expect(!device.seat.isEmpty)
        }
    }

    @Test("heaps")
    func heaps() {
        #expect(Set(devices.heaps.map(\.name)) == Set(Folder.names("/sys/class/dma_heap") + DMAHeap.names))
    }

    @Test("udmabuf opens exactly if it opens")
    func udmabuf() {
        let opens = (try? UDMABuf()) != nil
        #expect(((try? devices.udmabuf.limits.get()) != nil) == opens)
    }

    @Test("video nodes")
    func v4l2() {
        let known = Folder.names("/sys/class/video4linux").filter { $0.hasPrefix("video") }
        #expect(Set(devices.v4l2.map(\.name)) == Set(known))
    }

    @Test("RDMA devices")
    func rdma() {
        #expect(Set(devices.rdma.map(\.name)) == Set(Folder.names("/sys/class/infiniband")))
        for device in devices.rdma where device.obstacle == nil { #expect(device.verbsPath != nil) }
    }

    @Test("asking twice gives the same")
    func again() { #expect(DeviceList.discover() == devices) }

    @Test(
        "the order of nodes",
        arguments: [
            ("card1", "card10"), ("card2", "card10"), ("card9", "renderD128"), ("video2", "video10"),
            ("mlx5_0", "rxe0"),
        ])
    func order(first: String, second: String) {
        #expect(nodeOrder(first, second))
        #expect(!nodeOrder(second, first))
    }
}
