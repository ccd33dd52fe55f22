// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// `drm/vgem_drm.h`: fences that a process may attach to a vgem buffer and signal when it likes.
///
/// | Swift         | ioctl                          | since     |
/// |---------------|--------------------------------|-----------|
/// | `attachFence` | `DRM_IOCTL_VGEM_FENCE_ATTACH`  | Linux 4.9 |
/// | `signal`      | `DRM_IOCTL_VGEM_FENCE_SIGNAL`  | Linux 4.9 |
public enum VGEM {
    public static let driver = "vgem"

    /// Whether a node is vgem's, by its device in sysfs: needs no permission to open it.
    public static func owns(_ node: String) -> Bool {
        guard let link = try? Sysfs.link("/sys/class/drm/\(node)/device") else {
            // A container may hide /sys: then only opening it tells.
            return (try? DRMNode(node).driver) == driver
        }
        return String(decoding: link, as: UTF8.self).split(separator: "/").last == "vgem"
    }

    /// The vgem card of this machine; `noSuchAddressOrDevice` if there is none, `permissionDenied` if it is closed to us.
    public static func open() throws(Errno) -> DRMNode {
        guard let name = DRMNode.names.first(where: { $0.hasPrefix("card") && owns($0) }) else {
            throw .noSuchAddressOrDevice
        }
        return try DRMNode(name)
    }

    /// Attaches a fence to a buffer of a vgem node, as a writer's or a reader's. `resourceBusy` if a conflicting fence
    /// is pending. The kernel ends it after ten seconds, and when the node is closed; both look like success.
    ///
    /// The corresponding ioctl is `DRM_IOCTL_VGEM_FENCE_ATTACH`.
    public static func attachFence(to buffer: borrowing GEMBuffer, write: Bool) throws(Errno) -> VGEMFence {
        var request = dmabuf_vgem_fence_attach(handle: buffer.handle, flags: write ? 1 : 0, out_fence: 0, pad: 0)
        let number = buffer.node.descriptor.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_vgem_fence_attach, &request) }
        return VGEMFence(node: buffer.node, fence: request.out_fence)
    }
}

/// A vgem fence that waits to be signalled. Dropped, it stays pending until it expires or its node closes.
public struct VGEMFence: ~Copyable, Sendable {
    private let node: DRMNode
    private let fence: UInt32

    fileprivate init(node: DRMNode, fence: UInt32) {
        self.node = node
        self.fence = fence
    }

    /// Throws `timedOut` if the fence had expired.
    ///
    /// The corresponding ioctl is `DRM_IOCTL_VGEM_FENCE_SIGNAL`.
    public consuming func signal() throws(Errno) {
        var request = dmabuf_vgem_fence_signal(fence: fence, flags: 0)
        let number = node.descriptor.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_vgem_fence_signal, &request) }
    }
}
