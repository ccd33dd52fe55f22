// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// `linux/videodev2.h`, as far as finding out what a node is.
public enum V4L2 {
    public struct Capabilities: Sendable {
        public let driver: String
        public let card: String
        public let bus: String
        /// `V4L2_CAP_*` of this node.
        public let flags: UInt32

        public var captures: Bool { flags & 0x0000_1001 != 0 }
        public var outputs: Bool { flags & 0x0000_2002 != 0 }
        public var streams: Bool { flags & 0x0400_0000 != 0 }
    }

    /// The corresponding ioctl is `VIDIOC_QUERYCAP`.
    public static func capabilities(_ path: String) throws(Errno) -> Capabilities {
        let device = try Descriptor.open(path)
        var request = v4l2_capability()
        let number = device.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_v4l2_querycap, &request) }
        let perNode = request.capabilities & 0x8000_0000 != 0  // V4L2_CAP_DEVICE_CAPS
        return Capabilities(
            driver: text(of: request.driver), card: text(of: request.card), bus: text(of: request.bus_info),
            flags: perNode ? request.device_caps : request.capabilities)
    }
}
