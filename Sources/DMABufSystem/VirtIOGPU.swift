// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc

/// The one question of `drm/virtgpu_drm.h` that sharing needs.
public enum VirtIOGPU {
    public static let driver = "virtio_gpu"

    /// Whether the device has blob resources; without them it imports no foreign dma-buf.
    ///
    /// The corresponding ioctl is `DRM_IOCTL_VIRTGPU_GETPARAM` with `VIRTGPU_PARAM_RESOURCE_BLOB`.
    public static func hasBlobResources(_ node: DRMNode) -> Bool {
        var answer: CInt = 0
        let number = node.descriptor.number
        let result = unsafe withUnsafeMutablePointer(to: &answer) { answer in
            var request = dmabuf_virtgpu_getparam(param: 3, value: UInt64(UInt(bitPattern: answer)))
            return unsafe ioctl(number, dmabuf_ioctl_virtgpu_getparam, &request)
        }
        return result == 0 && answer != 0
    }
}
