// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

@testable import DMABufDevices

@Suite("The doctor on this machine", .serialized, .leavesNoDescriptor)
struct DoctorTests {
    let diagnosis = Diagnosis.examine()

    @Test("every check has a name of its own, and a remedy exactly where it failed")
    func shape() {
        #expect(Set(diagnosis.checks.map(\.id)).count == diagnosis.checks.count)
        for check in diagnosis.checks {
            #expect(!check.why.isEmpty)
            #expect((check.remedy == nil) == check.ok, "\(check)")
        }
    }

    @Test("the parts that every machine is asked for")
    func parts() {
        let ids = Set(diagnosis.checks.map(\.id))
        for id in ["dma-buf", "udmabuf", "vgem", "card", "sync-file", "fdinfo", "open-files"] {
            #expect(ids.contains(id))
        }
        #expect(ids.contains("heap") != ids.contains { $0.hasPrefix("heap:") })
    }

    @Test("real means that an exporter is good, and that dma-bufs are known")
    func real() {
        let exporters = diagnosis.checks.filter {
            $0.ok && ($0.id == "udmabuf" || $0.id.hasPrefix("heap:") || $0.id.hasPrefix("node:"))
        }
        if diagnosis.real { #expect(!exporters.isEmpty) }
        #expect(!diagnosis.real || diagnosis.checks.contains { $0.id == "dma-buf" && $0.ok })
    }
}

@Suite("The doctor where there are devices", .serialized, .leavesNoDescriptor)
struct KernelDoctorTests {
    let diagnosis = Diagnosis.examine()

    @Test("real dma-bufs can be shared, fences too", .requires("vgem"))
    func real() {
        #expect(diagnosis.real)
        for id in ["dma-buf", "vgem", "card", "sync-file", "fdinfo"] {
            #expect(diagnosis.checks.contains { $0.id == id && $0.ok }, "\(id)")
        }
    }

    @Test("udmabuf and the heaps are good exactly where the machine has them", .requires("vgem"))
    func memory() {
        #expect(diagnosis.checks.contains { $0.id == "udmabuf" && $0.ok } == Machine.has("udmabuf"))
        #expect(diagnosis.checks.contains { $0.id == "heap:system" && $0.ok } == Machine.has("heap:system"))
    }

    @Test("without udmabuf and heaps a card alone makes it real", .requires("vgem"))
    func cardAlone() throws {
        let devices = DeviceList.discover()
        let card = try #require(devices.drm.first { (try? $0.abilities.get().driver) == "vgem" })
        #expect(try TrialBuffer.ofCard(card.path).seekableByteCount() >= 64 * 64 * 4)
        #expect(card.exportsDumbBuffers)
    }
}
