// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@testable import DMABufDevices

@Suite("Real devices are listed as what they are", .serialized, .leavesNoDescriptor)
struct KernelDeviceTests {
    let devices = DeviceList.discover()

    @Test("vgem exports, imports and sits on no PCI bus", .requires("vgem"))
    func vgem() throws {
        let node = try #require(devices.drm.first { (try? $0.abilities.get().driver) == "vgem" })
        let abilities = try node.abilities.get()
        #expect(abilities.exportsPrime && abilities.importsPrime && abilities.dumbBuffers)
        #expect(node.bus?.bus != "pci")
    }

    @Test("vivid captures at video0 and outputs at video1", .requires("v4l2:video0", "v4l2:video1"))
    func vivid() throws {
        let abilities = try devices.v4l2.prefix(2).map { try $0.abilities.get() }
        #expect(abilities.map(\.captures) == [true, false])
        #expect(abilities.map(\.outputs) == [false, true])
        #expect(abilities.allSatisfy { !$0.driver.isEmpty && !$0.card.isEmpty })
    }

    @Test("a soft RDMA device has a verbs node", .requires("rxe"))
    func rxe() throws {
        let device = try #require(devices.rdma.first)
        #expect(device.verbsPath?.hasPrefix("/dev/infiniband/uverbs") == true)
        #expect(device.obstacle == nil)
    }
}
