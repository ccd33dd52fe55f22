// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc
import Synchronization
public import SystemPackage

/// A DRM node with Mesa's driver for it, as an allocator.
///
/// | Swift                 | C function                                                            |
/// |-----------------------|-----------------------------------------------------------------------|
/// | `GBMDevice`           | `gbm_create_device`, `gbm_device_destroy`                             |
/// | `supports`            | `gbm_device_is_format_supported`                                      |
/// | `createLinear`        | `gbm_bo_create_with_modifiers2`, `gbm_bo_create`                      |
/// | `GBMBuffer.planes`    | `gbm_bo_get_plane_count`, `…_handle_for_plane`, `…_offset`, `…_stride_for_plane` |
/// | `GBMBuffer.modifier`  | `gbm_bo_get_modifier`                                                 |
/// | `GBMBuffer.export`    | `drmPrimeHandleToFD`, `gbm_bo_get_fd_for_plane`                       |
/// | end of a `GBMBuffer`  | `gbm_bo_destroy`                                                      |
@safe
public final class GBMDevice: @unchecked Sendable {
    public let node: DRMNode
    fileprivate let library: GBM
    private let device: OpaquePointer
    /// libgbm does not say that its devices may be used by several threads at once.
    fileprivate let turn = Mutex(())

    /// Loads the driver. Keeps `node`, whose descriptor the driver goes on using.
    public init(_ node: DRMNode, _ library: GBM) throws(Errno) {
        unsafe device = try made { unsafe library.createDevice(node.descriptor.number) }
        self.node = node
        self.library = library
    }

    deinit { unsafe library.destroyDevice(device) }

    /// Whether the driver makes images of that format for that use. It may refuse a size all the same.
    public func supports(fourcc: UInt32, _ use: GBM.Use) -> Bool {
        turn.withLock { _ in unsafe library.isSupported(device, fourcc, use.rawValue) != 0 }
    }

    /// A linear image; the driver chooses how long its lines are, and how much lies behind them.
    public func createLinear(
        width: UInt32, height: UInt32, fourcc: UInt32, _ use: GBM.Use = []
    ) throws(Errno) -> GBMBuffer {
        let result = turn.withLock { _ in
            Result { () throws(Errno) in
                // Asked for by its modifier, it is linear, or it is not made. Drivers that know no modifiers have the flag.
                if let create = unsafe library.createWithModifiers {
                    var linear: UInt64 = 0
                    let buffer = unsafe create(device, width, height, fourcc, &linear, 1, use.rawValue)
                    if let buffer = unsafe buffer { return unsafe GBMBuffer.Pointer(value: buffer) }
                }
                let flags = use.union(.linear).rawValue
                return unsafe GBMBuffer.Pointer(
                    value: try made { unsafe library.create(device, width, height, fourcc, flags) })
            }
        }
        return GBMBuffer(device: self, pointer: try result.get())
    }
}

/// What `call` made, or errno; not every driver sets that.
private func made(_ call: () -> OpaquePointer?) throws(Errno) -> OpaquePointer {
    errno = 0
    if let made = unsafe call() { return unsafe made }
    throw Errno(rawValue: errno == 0 ? EIO : errno)
}

/// A buffer of a ``GBMDevice``; what was exported of it outlives it.
@safe
public struct GBMBuffer: ~Copyable, @unchecked Sendable {
    @safe
    fileprivate struct Pointer: @unchecked Sendable { let value: OpaquePointer }

    /// One plane of the image.
    public struct Plane: Sendable {
        public let index: Int
        /// The GEM handle of its memory: planes with the same one lie in the same. nil if the driver has none.
        public let handle: UInt32?
        /// Bytes from the start of its memory.
        public let offset: UInt32
        /// Bytes from one line to the next.
        public let stride: UInt32
    }

    private let device: GBMDevice
    private let pointer: Pointer
    public let planes: [Plane]
    /// `DRM_FORMAT_MOD_*`; many a driver states none (`DRM_FORMAT_MOD_INVALID`).
    public let modifier: UInt64

    fileprivate init(device: GBMDevice, pointer: Pointer) {
        self.device = device
        self.pointer = pointer
        let library = device.library
        (planes, modifier) = device.turn.withLock { _ in
            let count = unsafe max(library.planeCount(pointer.value), 0)
            let planes = (0..<count).map { index in
                unsafe Plane(
                    index: Int(index), handle: Self.handle(library.handle(pointer.value, index)),
                    offset: library.offset(pointer.value, index), stride: library.stride(pointer.value, index))
            }
            return (planes, unsafe library.modifier(pointer.value))
        }
    }

    /// Of the union's eight bytes a driver need write no more than the four of a handle; -1 stands for none.
    private static func handle(_ union: Int64) -> UInt32? {
        let handle = UInt32(truncatingIfNeeded: union)
        return handle == 0 || handle == .max ? nil : handle
    }

    deinit { device.turn.withLock { _ in unsafe device.library.destroy(pointer.value) } }

    /// The memory of that plane as a dma-buf, readable and writable where the driver allows it; the caller owns it.
    ///
    /// The first export fixes the access mode for good, and not every driver asks for one that may be written: so it is asked
    /// for here, by the GEM handle, and the driver's own way is the second.
    public borrowing func export(_ plane: Plane) throws(Errno) -> Descriptor {
        let node = device.node.descriptor.number
        var number: CInt = -1
        if let handle = plane.handle,
            unsafe drmPrimeHandleToFD(node, handle, UInt32(O_CLOEXEC | O_RDWR), &number) == 0
        {
            return Descriptor(adopting: number)
        }
        errno = 0
        number = device.turn.withLock { _ in unsafe device.library.file(pointer.value, CInt(plane.index)) }
        guard number >= 0 else { throw Errno(rawValue: errno == 0 ? EIO : errno) }
        return Descriptor(adopting: number)
    }
}
