// SPDX-License-Identifier: Apache-2.0

extension HotplugDevice {
    /// The names of all exporters and importers that may stand on it, as `Exporter.name` and `Importer.name` have them:
    /// "v4l2:video0", "kms:card0". Which of them the device is good for, `dmabuf-share devices` says while it is there.
    public var backends: [String] {
        switch subsystem {
        case V4L2Device.subsystem: ["v4l2:\(name)"]
        case DMAHeapDevice.subsystem: ["heap:\(name)"]
        case "misc": [name]
        case DRMDevice.subsystem where name.hasPrefix("card"):
            ["drm", "kms", "dumb", "vgem", "gbm"].map { "\($0):\(name)" }
        case DRMDevice.subsystem: ["drm:\(name)", "gbm:\(name)"]
        default: []
        }
    }
}

extension HotplugEvent {
    /// Whether it is about the device under the exporter, the importer or the queue of that name. What is open there
    /// throws `gone` after a `removed`; after an `added` it is to be opened anew, and perhaps under another name.
    ///
    /// An overflow is about all: the device may be among those that are not told of.
    public func concerns(_ backend: String) -> Bool {
        switch self {
        case .added(let device), .removed(let device), .changed(let device): device.backends.contains(backend)
        case .overflow: true
        }
    }
}
