// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import Testing

@testable import DMABufDevices

@Suite("From what was found to what is said")
struct FindingsTests {
    static let denied = Obstacle(.permissionDenied, "permission denied: group kvm", remedy: "join it")
    static let none = Obstacle(.noSuchAddressOrDevice, "none", remedy: "see doctor")

    @Test("udmabuf opens, with its limit")
    func udmabuf() {
        let device = UDMABufDevice(
            path: "/dev/udmabuf", limits: .success(.init(byteCount: 64 << 20, segmentCount: 1024)))
        let check = UDMABufFindings(device, index()).check
        #expect(
            check == Check(id: "udmabuf", ok: true, why: "/dev/udmabuf opens, at most 64 MiB a buffer", remedy: nil))
    }

    @Test("udmabuf is there and closed: the obstacle, whatever the modules say")
    func udmabufDenied() {
        let device = UDMABufDevice(path: "/dev/udmabuf", limits: .failure(Self.denied))
        let check = UDMABufFindings(device, index(dep: "")).check
        #expect(check == Check(id: "udmabuf", ok: false, why: Self.denied.reason, remedy: "join it"))
    }

    @Test("udmabuf is missing: the modules tell why")
    func udmabufMissing() {
        let device = UDMABufDevice(path: "/dev/udmabuf", limits: .failure(Self.none))
        #expect(UDMABufFindings(device, index(dep: "")).check.why.contains("has no CONFIG_UDMABUF"))
        #expect(UDMABufFindings(device, index(dep: "k/udmabuf.ko:")).check.remedy == "sudo modprobe udmabuf")
    }

    @Test("a check for each heap, and one for none")
    func heaps() {
        let heaps = [
            DMAHeapDevice(name: "system", obstacle: nil), DMAHeapDevice(name: "reserved", obstacle: Self.denied),
        ]
        let checks = HeapFindings(heaps, index()).checks
        #expect(checks.map(\.id) == ["heap:system", "heap:reserved"])
        #expect(checks.map(\.ok) == [true, false])
        #expect(HeapFindings([], index()).checks.map(\.id) == ["heap"])
    }

    @Test("without a DRM node: no vgem, no card")
    func noDRM() {
        let checks = DRMFindings([], index(dep: "")).checks
        #expect(checks.map(\.id) == ["vgem", "card"])
        #expect(checks.allSatisfy { !$0.ok && $0.remedy != nil })
    }

    @Test("DRM nodes, open and closed")
    func drm() {
        let nodes = [
            node("/dev/dri/card0", .failure(Self.denied), address: "0000:00:02.0"),
            node("/dev/dri/card1", .success(abilities("vgem")), address: "vgem"),
            node("/dev/dri/renderD128", .success(abilities("i915")), address: "0000:00:02.0"),
        ]
        let checks = DRMFindings(nodes, index()).checks
        #expect(checks.map(\.id) == ["vgem", "card", "node:card0", "node:card1", "node:renderD128"])
        #expect(checks.map(\.ok) == [true, true, false, true, true])
        #expect(checks[1].why == "card1 (vgem)")
        #expect(checks[4].why == "/dev/dri/renderD128 opens: i915, exports, imports")
    }

    @Test("a vgem card that is closed is not a missing module")
    func closedVGEM() {
        let nodes = [node("/dev/dri/card0", .failure(Self.denied), address: "vgem")]
        let checks = DRMFindings(nodes, index(dep: "")).checks
        #expect(checks[0].why == Self.denied.reason)
        #expect(checks[1].why == Self.denied.reason)
    }

    @Test("a render node alone is no card")
    func renderNode() {
        let nodes = [node("/dev/dri/renderD128", .success(abilities("i915")), address: "x")]
        #expect(!DRMFindings(nodes, index()).checks[1].ok)
    }

    @Test("the kernel's parts")
    func kernel() {
        #expect(DMABufSupport.used(exporter: "udmabuf").check.ok)
        #expect(DMABufSupport.compiledIn.check.ok)
        #expect(!DMABufSupport.missing.check.ok && !DMABufSupport.unknown.check.ok)
        #expect(SyncFileSupport.works.check.ok)
        #expect(SyncFileSupport.refused(.inappropriateIOCTLForDevice).check.remedy == "boot Linux 6.0 or newer")
        #expect(!SyncFileSupport.untried.check.ok)
        #expect(ProcSupport.readable.check.ok)
        #expect(!ProcSupport.closed(.noSuchFileOrDirectory).check.ok)
    }

    @Test(
        "the limit of descriptors",
        arguments: [
            (ResourceLimit(soft: 1024, hard: 4096), true, nil), (ResourceLimit(soft: .max, hard: .max), true, nil),
            (ResourceLimit(soft: 1023, hard: 4096), false, "ulimit -n 1024"),
            (ResourceLimit(soft: 256, hard: 256), false, "raise `nofile`"),
        ] as [(ResourceLimit, Bool, String?)])
    func openFiles(limit: ResourceLimit, ok: Bool, remedy: String?) {
        let check = OpenFileFindings.limit(limit).check
        #expect(check.ok == ok)
        #expect((check.remedy == nil) == (remedy == nil))
        #expect(check.remedy?.hasPrefix(remedy ?? "") ?? true)
    }

    private func node(
        _ path: String, _ abilities: Result<DRMDevice.Abilities, Obstacle>, address: String
    ) -> DRMDevice {
        DRMDevice(
            path: path, bus: BusAddress(bus: "platform", address: address), seat: "seat0", abilities: abilities)
    }

    private func abilities(_ driver: String) -> DRMDevice.Abilities {
        DRMDevice.Abilities(
            driver: driver, importsPrime: true, exportsPrime: true, dumbBuffers: true, syncobj: false,
            timelineSyncobj: false)
    }
}
