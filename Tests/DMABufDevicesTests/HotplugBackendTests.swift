// SPDX-License-Identifier: Apache-2.0

import DMABufDevices
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// Which exporters and importers an event is about.
@Suite("Events by the names of backends", .serialized, .leavesNoDescriptor)
struct HotplugBackendTests {
    @Test(
        "a device has the names that its backends have",
        arguments: [
            ("video4linux", "video0", ["v4l2:video0"]), ("dma_heap", "system", ["heap:system"]),
            ("misc", "udmabuf", ["udmabuf"]), ("drm", "renderD128", ["drm:renderD128", "gbm:renderD128"]),
            ("drm", "card0", ["drm:card0", "kms:card0", "dumb:card0", "vgem:card0", "gbm:card0"]),
            ("infiniband", "rxe0", []),
        ])
    func names(subsystem: String, name: String, backends: [String]) {
        let device = HotplugDevice(subsystem: subsystem, name: name, path: "/dev/\(name)")
        #expect(device.backends == backends)
        for event in [HotplugEvent.added(device), .removed(device), .changed(device)] {
            #expect(backends.allSatisfy(event.concerns))
            #expect(!event.concerns("v4l2:video7"))
        }
        #expect(HotplugEvent.overflow.concerns("v4l2:video7"))
    }

    @Test(
        "whoever has a backend is told that its device has gone, and that it came back",
        .requires("guest", "root", "v4l2:video0", "kms:card0"),
        arguments: [("video0", "v4l2:video0"), ("video1", "v4l2:video1"), ("card0", "kms:card0")])
    func goneAndBack(node: String, backend: String) async throws {
        try await nothingStays {
            let device = try BoundDevice(of: node)
            let hotplug = try Hotplug()
            try device.unbind()
            let removed = try await hotplug.first { $0.concerns(backend) }
            guard case .removed(let gone) = removed else {
                Issue.record("\(String(describing: removed))")
                return try device.bind()
            }
            #expect(gone.name == node)
            try device.bind()
            #expect(try await hotplug.first { $0.concerns(backend) } == .added(gone))
        }
    }
}
