// SPDX-License-Identifier: Apache-2.0

import DMABufDevices
import Testing

/// Which exporters and importers an event is about.
@Suite("Events by the names of backends")
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
}
