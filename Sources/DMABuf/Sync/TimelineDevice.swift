// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// A DRM device that keeps timelines. Fences of any device go onto them; those of one device can be waited for together.
public final class TimelineDevice: Sendable {
    let node: DRMNode

    /// Opens a node by path or by its name in `/dev/dri`: "card2", "renderD128". Throws `unavailable` if it cannot be opened,
    /// `unsupported` if its driver has no timelines.
    public init(node name: String) throws(DMABufError) {
        node = try attempting(
            "\(name.escapedForDisplay): open it", remedy: "name a node of /dev/dri that this user may open"
        ) { () throws(Errno) in try DRMNode(name) }
        guard node.capability(.timelineSyncobj) != 0 else {
            throw DMABufError(
                .unsupported, "\(node.name): \(node.driver) has no timelines (DRM_CAP_SYNCOBJ_TIMELINE)",
                remedy: "use another device's: `dmabuf-share devices` says which has; fences of any device go onto it")
        }
    }

    public var name: String { node.name }
}
