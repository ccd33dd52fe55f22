// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc
public import SystemPackage

/// A framebuffer: GEM buffers that a display engine has agreed to show as one image. Removed when the value ends; what shows
/// it then goes dark, so a screen is turned to something else before that.
///
/// | Swift       | C function                                              |
/// |-------------|---------------------------------------------------------|
/// | `init`      | `drmModeAddFB2`, `drmModeAddFB2WithModifiers`           |
/// | `markDirty` | `drmModeDirtyFB`                                        |
/// | end         | `drmModeRmFB`                                           |
public struct DRMFramebuffer: ~Copyable, Sendable {
    private let node: DRMNode
    /// The kernel's number for it, valid for every file of the card.
    public let number: UInt32

    /// Where one plane lies: in which buffer, from which byte on, and how many bytes from one line to the next.
    public struct Plane: Sendable {
        fileprivate let handle: UInt32
        fileprivate let offset: UInt32
        fileprivate let stride: UInt32
    }

    /// Makes a one-plane linear framebuffer of `buffer`, which must outlive the picture, not this value. `stride` in
    /// bytes. `invalidArgument` if the engine cannot show that; needs no DRM master.
    public init(
        _ buffer: borrowing GEMBuffer, width: UInt32, height: UInt32, fourcc: UInt32, stride: UInt32
    ) throws(Errno) {
        try self.init(
            on: buffer.node, width: width, height: height, fourcc: fourcc,
            planes: [buffer.plane(offset: 0, stride: stride)], modifier: nil)
    }

    /// Makes a framebuffer of one to four planes, all of `node`. `modifier` says how the pixels are arranged; nil leaves
    /// that to the driver, and is all that a device without ``DRMNode/Capability/framebufferModifiers`` takes.
    public init(
        on node: DRMNode, width: UInt32, height: UInt32, fourcc: UInt32, planes: [Plane], modifier: UInt64?
    ) throws(Errno) {
        guard (1...4).contains(planes.count) else { throw .invalidArgument }
        // What is not used must be zero.
        let handles = of(planes, \.handle, 0)
        let strides = of(planes, \.stride, 0)
        let offsets = of(planes, \.offset, 0)
        let modifiers = of(planes, \.handle, 0).map { $0 == 0 ? 0 : modifier ?? 0 }
        var number: UInt32 = 0
        try nothingOrDRMError(
            unsafe drmModeAddFB2WithModifiers(
                node.descriptor.number, width, height, fourcc, handles, strides, offsets, modifiers, &number,
                modifier == nil ? 0 : UInt32(DRM_MODE_FB_MODIFIERS)))
        self.node = node
        self.number = number
    }

    /// Says that its memory was written: a driver that shows a copy makes it anew. `clips` nil means everywhere.
    ///
    /// The corresponding ioctl is `DRM_IOCTL_MODE_DIRTYFB`; `noFunction` from a driver that shows the memory itself. Needs
    /// the DRM master, and waits for the fences of writers.
    public borrowing func markDirty(_ clips: [ClipRectangle] = []) throws(Errno) {
        var rectangles = clips.map { clip in
            drm_clip_rect(
                x1: UInt16(clamping: clip.left), y1: UInt16(clamping: clip.top), x2: UInt16(clamping: clip.right),
                y2: UInt16(clamping: clip.bottom))
        }
        let (file, number, count) = (node.descriptor.number, number, UInt32(clips.count))
        try nothingOrDRMError(
            unsafe rectangles.withUnsafeMutableBufferPointer {
                unsafe drmModeDirtyFB(file, number, count == 0 ? nil : $0.baseAddress, count)
            })
    }

    deinit { drmModeRmFB(node.descriptor.number, number) }
}

extension GEMBuffer {
    /// A plane of a framebuffer that lies in this buffer; it must be there while the framebuffer is made.
    public borrowing func plane(offset: UInt32, stride: UInt32) -> DRMFramebuffer.Plane {
        DRMFramebuffer.Plane(handle: handle, offset: offset, stride: stride)
    }
}

/// A part of an image in pixels; `right` and `bottom` are the first that do not belong to it.
public struct ClipRectangle: Equatable, Sendable {
    public var left: Int32
    public var top: Int32
    public var right: Int32
    public var bottom: Int32

    public init(left: Int32, top: Int32, right: Int32, bottom: Int32) {
        self.left = left
        self.top = top
        self.right = right
        self.bottom = bottom
    }
}

/// One value for each of the four planes that the ioctl has.
private func of<Value>(
    _ planes: [DRMFramebuffer.Plane], _ path: KeyPath<DRMFramebuffer.Plane, Value>, _ unused: Value
) -> [Value] {
    (0..<4).map { $0 < planes.count ? planes[$0][keyPath: path] : unused }
}
