// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// `linux/videodev2.h`, as far as it moves frames: what a node is here, its formats in `V4L2Format.swift`, its buffers in
/// `V4L2Buffers.swift`, their way through a queue in `V4L2Queueing.swift`.
///
/// | Swift                       | ioctl                                | since            |
/// |-----------------------------|--------------------------------------|------------------|
/// | `capabilities`              | `VIDIOC_QUERYCAP`                    | Linux 2.6        |
/// | `formats(of:)`              | `VIDIOC_ENUM_FMT`                    | Linux 2.6        |
/// | `format(of:)`               | `VIDIOC_G_FMT`                       | Linux 2.6        |
/// | `tryFormat`, `setFormat`    | `VIDIOC_TRY_FMT`, `VIDIOC_S_FMT`     | Linux 2.6        |
/// | `requestBuffers`            | `VIDIOC_REQBUFS`                     | Linux 2.6        |
/// | `createBuffers`, `supports` | `VIDIOC_CREATE_BUFS`                 | Linux 3.1        |
/// | `exportBuffer`              | `VIDIOC_EXPBUF`                      | Linux 3.8        |
/// | `prepare`                   | `VIDIOC_PREPARE_BUF`                 | Linux 3.1        |
/// | `queue`, `dequeue`          | `VIDIOC_QBUF`, `VIDIOC_DQBUF`        | Linux 2.6        |
/// | `streamOn`, `streamOff`     | `VIDIOC_STREAMON`, `VIDIOC_STREAMOFF`| Linux 2.6        |
///
/// `V4L2_MEMORY_DMABUF` is there since Linux 3.8.
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

        /// The queue that fills buffers, if there is one.
        public var captureType: BufferType? {
            flags & 0x0000_1000 != 0 ? .captureMultiplanar : flags & 0x0000_0001 != 0 ? .capture : nil
        }

        /// The queue that takes buffers, if there is one.
        public var outputType: BufferType? {
            flags & 0x0000_2000 != 0 ? .outputMultiplanar : flags & 0x0000_0002 != 0 ? .output : nil
        }
    }

    /// Which of a node's queues, and whether its buffers may consist of several memories.
    ///
    /// The corresponding kernel name is `enum v4l2_buf_type`.
    public enum BufferType: UInt32, Sendable {
        case capture = 1
        case output = 2
        case captureMultiplanar = 9
        case outputMultiplanar = 10

        public var isOutput: Bool { self == .output || self == .outputMultiplanar }
        public var isMultiplanar: Bool { self == .captureMultiplanar || self == .outputMultiplanar }
    }

    /// Where the memory of a queue's buffers comes from.
    ///
    /// The corresponding kernel name is `enum v4l2_memory`.
    public enum Memory: UInt32, Sendable {
        /// The driver's own, which `exportBuffer` gives away.
        case mmap = 1
        /// Imported.
        case dmaBuf = 4
    }

    /// The most memories that a buffer can have: `VIDEO_MAX_PLANES`.
    public static let memoryLimit = 8
    /// The most buffers of a queue: `VIDEO_MAX_FRAME`.
    public static let bufferLimit = 32

    /// What a node says of itself. The corresponding ioctl is `VIDIOC_QUERYCAP`.
    public static func capabilities(_ path: String) throws(Errno) -> Capabilities {
        try capabilities(of: Descriptor.open(path))
    }

    static func capabilities(of device: borrowing Descriptor) throws(Errno) -> Capabilities {
        var request = v4l2_capability()
        let number = device.number
        try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_v4l2_querycap, &request) }
        let perNode = request.capabilities & 0x8000_0000 != 0  // V4L2_CAP_DEVICE_CAPS
        return Capabilities(
            driver: text(of: request.driver), card: text(of: request.card), bus: text(of: request.bus_info),
            flags: perNode ? request.device_caps : request.capabilities)
    }
}

/// An open video node. Which file has asked for buffers owns the queue until it lets them go: others get `resourceBusy`.
/// Closing it takes back what is queued and detaches every buffer.
public final class V4L2Node: Sendable {
    public static let folder = "/dev"

    public let path: String
    public let capabilities: V4L2.Capabilities
    package let descriptor: Descriptor

    /// Opens a node by path or by its name in `/dev`, so that no call blocks.
    public init(_ name: String) throws(Errno) {
        path = name.contains("/") ? name : "\(Self.folder)/\(name)"
        descriptor = try Descriptor.open(path, .readWriteNonBlocking)
        capabilities = try V4L2.capabilities(of: descriptor)
    }

    /// Whether the device was unbound from its driver or unplugged while the node was open: every call says ENODEV then.
    /// Closing is safe at any time.
    public var isGone: Bool {
        do throws(Errno) { _ = try V4L2.capabilities(of: descriptor) } catch {
            return error == .operationNotSupportedByDevice
        }
        return false
    }

    /// The file name of the node: "video0".
    public var name: String { String(path.split(separator: "/").last ?? "") }

    /// The nodes of this machine by name, in the order of their numbers.
    public static var names: [String] {
        Folder.names(folder)
            .compactMap { name in name.hasPrefix("video") ? Int(name.dropFirst(5)) : nil }
            .sorted().map { "video\($0)" }
    }

    /// Waits until there is something to dequeue, an error included: true, or false at the deadline or as soon as `stop` is
    /// readable. A queue that has nothing queued is in error at once.
    ///
    /// The corresponding C function is `poll`.
    public func wait(
        _ type: V4L2.BufferType, until deadline: Deadline, unless stop: borrowing Descriptor
    ) throws(Errno) -> Bool {
        !(try Poll.wait(descriptor, for: type.readiness, until: deadline, unless: stop)).isEmpty
    }

    /// As above, with nothing else that ends the wait.
    public func wait(_ type: V4L2.BufferType, until deadline: Deadline) throws(Errno) -> Bool {
        !(try Poll.wait(descriptor, for: type.readiness, until: deadline)).isEmpty
    }
}

extension V4L2.BufferType {
    fileprivate var readiness: Poll.Events { isOutput ? .writable : .readable }
}
