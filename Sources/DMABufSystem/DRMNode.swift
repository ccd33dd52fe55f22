// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import CDRM
import Glibc
import Synchronization
public import SystemPackage

/// A DRM device node, through libdrm.
///
/// | Swift                | C function                             |
/// |----------------------|----------------------------------------|
/// | `driver`             | `drmGetVersion`                        |
/// | `capability`         | `drmGetCap`                            |
/// | `createDumbBuffer`   | `drmModeCreateDumbBuffer`              |
/// | `importBuffer`       | `drmPrimeFDToHandle`                   |
/// | `GEMBuffer.export`   | `drmPrimeHandleToFD`                   |
/// | `GEMBuffer.map`      | `drmModeMapDumbBuffer`, then `mmap`    |
/// | end of a `GEMBuffer` | `drmCloseBufferHandle`                 |
public final class DRMNode: Sendable {
    public static let folder = "/dev/dri"

    public let path: String
    /// The driver's name, as `drmGetVersion` gives it: "vgem", "virtio_gpu", "i915".
    public let driver: String
    package let descriptor: Descriptor

    /// How many `GEMBuffer`s stand on each GEM handle. The kernel gives the same handle for every import of the same
    /// buffer and counts no references: one close would pull it from under the others.
    private let references = Mutex<[UInt32: Int]>([:])
    /// How many ``DRMMaster``s there are of this file, which is master once.
    let masters = Mutex(0)
    /// The last flip of each CRTC of which nobody has asked yet: all come out of this one file.
    let flips = Mutex<[UInt32: FlipEvent]>([:])
    private let lastToken = Atomic<UInt64>(0)
    /// For a commit, whose event has it. None comes twice out of this file: an event may outlive who asked for it.
    public var nextToken: UInt64 { lastToken.wrappingAdd(1, ordering: .relaxed).newValue }

    /// Opens a node by path or by its name in `/dev/dri`. Being the first to open a card makes us its DRM master, which
    /// would keep a compositor out, so that is given up at once.
    public convenience init(_ name: String) throws(Errno) {
        let path = name.contains("/") ? name : "\(Self.folder)/\(name)"
        try self.init(adopting: Descriptor.open(path), path: path)
        if isMaster { drmDropMaster(descriptor.number) }
    }

    /// Takes over a descriptor of a node that somebody else has opened: a lease of some outputs, whose lessee is the master
    /// of these and stays that. `invalidArgument` if it is no DRM device.
    ///
    /// The corresponding ioctl of the lessor is `DRM_IOCTL_MODE_CREATE_LEASE`.
    public convenience init(lease descriptor: consuming Descriptor) throws(Errno) {
        // A stranger's file is asked nothing, and none can be such a device.
        var noted = dmabuf_noted()
        guard unsafe dmabuf_statx(descriptor.number, 1, &noted) == 0, noted.mode == S_IFCHR, noted.major == Self.major
        else { throw .invalidArgument }
        let link = try Sysfs.link("\(OwnTable.links)\(descriptor.number)")
        try self.init(adopting: descriptor, path: String(decoding: link, as: UTF8.self))
    }

    /// `DRM_MAJOR`.
    private static let major: UInt32 = 226

    private init(adopting descriptor: consuming Descriptor, path: String) throws(Errno) {
        guard let version = unsafe drmGetVersion(descriptor.number) else { throw .invalidArgument }
        driver = unsafe String(cString: version.pointee.name)
        unsafe drmFreeVersion(version)
        self.path = path
        self.descriptor = descriptor
    }

    /// The file name of the node: "card0".
    public var name: String { String(path.split(separator: "/").last ?? "") }

    /// The nodes of this machine by name, cards first, each kind in the order of its numbers.
    public static var names: [String] {
        func number(_ name: String) -> Int { Int(name.drop { !$0.isNumber }) ?? 0 }
        return Folder.names(folder)
            .filter { $0.hasPrefix("card") || $0.hasPrefix("renderD") }
            .sorted { ($0.hasPrefix("render") ? 1 : 0, number($0)) < ($1.hasPrefix("render") ? 1 : 0, number($1)) }
    }

    /// What a driver can do (`DRM_CAP_*`).
    public enum Capability: UInt64, Sendable {
        case dumbBuffer = 0x1
        case prime = 0x5
        case framebufferModifiers = 0x10
        case syncobj = 0x13
        case timelineSyncobj = 0x14
    }

    /// The value of a capability, zero where the driver does not know it.
    public func capability(_ capability: Capability) -> UInt64 {
        var value: UInt64 = 0
        return unsafe drmGetCap(descriptor.number, capability.rawValue, &value) == 0 ? value : 0
    }

    /// Whether the device was unbound from its driver or unplugged while the node was open.
    public var isGone: Bool {
        var value: UInt64 = 0
        return unsafe drmGetCap(descriptor.number, Capability.prime.rawValue, &value) != 0 && errno == ENODEV
    }

    public var importsPrime: Bool { capability(.prime) & 1 != 0 }
    public var exportsPrime: Bool { capability(.prime) & 2 != 0 }
    public var hasDumbBuffers: Bool { capability(.dumbBuffer) != 0 }

    /// Whether this is a card rather than a render node.
    public var isPrimary: Bool { drmGetNodeTypeFromFd(descriptor.number) == DRM_NODE_PRIMARY }

    /// Whether the device has a display engine: something to scan out with.
    ///
    /// The corresponding C function is `drmModeGetResources`.
    public var hasDisplay: Bool {
        guard let resources = unsafe drmModeGetResources(descriptor.number) else { return false }
        defer { unsafe drmModeFreeResources(resources) }
        return unsafe resources.pointee.count_crtcs > 0
    }

    /// A linear buffer of the device; the driver chooses `stride` and `byteCount`.
    ///
    /// The corresponding ioctl is `DRM_IOCTL_MODE_CREATE_DUMB`. Needs no master, but a card node.
    public func createDumbBuffer(width: UInt32, height: UInt32, bitsPerPixel: UInt32) throws(Errno) -> DumbBuffer {
        var handle: UInt32 = 0
        var stride: UInt32 = 0
        var byteCount: UInt64 = 0
        try nothingOrDRMError(
            unsafe drmModeCreateDumbBuffer(
                descriptor.number, width, height, bitsPerPixel, 0, &handle, &stride, &byteCount))
        references.withLock { $0[handle, default: 0] += 1 }
        return DumbBuffer(gem: GEMBuffer(node: self, handle: handle), stride: stride, byteCount: byteCount)
    }

    /// Imports a dma-buf; borrows its descriptor. Importing one buffer twice gives two values on one handle.
    ///
    /// The corresponding ioctl is `DRM_IOCTL_PRIME_FD_TO_HANDLE`.
    public func importBuffer(_ buffer: borrowing Descriptor) throws(Errno) -> GEMBuffer {
        let (node, file) = (descriptor.number, buffer.number)
        // Under the lock: a close of the same handle between the ioctl and the count would leave us a dead one.
        let result = references.withLock { references -> Result<UInt32, Errno> in
            var handle: UInt32 = 0
            guard unsafe drmPrimeFDToHandle(node, file, &handle) == 0 else { return .failure(Errno(rawValue: errno)) }
            references[handle, default: 0] += 1
            return .success(handle)
        }
        return GEMBuffer(node: self, handle: try result.get())
    }

    fileprivate func drop(_ handle: UInt32) {
        references.withLock { references in
            let left = references[handle, default: 1] - 1
            references[handle] = left == 0 ? nil : left
            if left == 0 { drmCloseBufferHandle(descriptor.number, handle) }
        }
    }
}

/// libdrm answers `-errno` from some functions and -1 with errno from others.
func nothingOrDRMError(_ answer: CInt) throws(Errno) {
    if answer != 0 { throw Errno(rawValue: answer == -1 ? errno : -answer) }
}

/// A GEM handle of one node, closed when its last owner ends.
public struct GEMBuffer: ~Copyable, Sendable {
    public let node: DRMNode
    package let handle: UInt32

    fileprivate init(node: DRMNode, handle: UInt32) {
        self.node = node
        self.handle = handle
    }

    deinit { node.drop(handle) }

    /// The buffer as a dma-buf, readable and writable; the caller owns it. The first export fixes the access mode for
    /// good: later ones return the same open file.
    ///
    /// The corresponding ioctl is `DRM_IOCTL_PRIME_HANDLE_TO_FD`.
    public borrowing func export() throws(Errno) -> Descriptor {
        var number: CInt = -1
        guard unsafe drmPrimeHandleToFD(node.descriptor.number, handle, UInt32(O_CLOEXEC | O_RDWR), &number) == 0
        else { throw Errno(rawValue: errno) }
        return Descriptor(adopting: number)
    }

    /// Maps the buffer through its device rather than through the dma-buf's own descriptor. A render node cannot
    /// (`notSupported`), nor can most drivers for what they imported (`invalidArgument`).
    ///
    /// The corresponding ioctl is `DRM_IOCTL_MODE_MAP_DUMB`.
    public borrowing func map(byteCount: Int, writable: Bool) throws(Errno) -> MemoryMapping {
        guard node.isPrimary else { throw .notSupported }
        var offset: UInt64 = 0
        try nothingOrDRMError(unsafe drmModeMapDumbBuffer(node.descriptor.number, handle, &offset))
        return try MemoryMapping(node.descriptor, byteCount: byteCount, offset: Int(offset), writable: writable)
    }
}

/// A dumb buffer as its driver laid it out.
@frozen
public struct DumbBuffer: ~Copyable, Sendable {
    public let gem: GEMBuffer
    /// Bytes from one line to the next.
    public let stride: UInt32
    public let byteCount: UInt64
}
