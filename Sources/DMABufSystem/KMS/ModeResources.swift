// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc
public import SystemPackage

/// What a card can show on: its CRTCs and connectors by number, and the sizes of framebuffers that it takes.
///
/// | Swift       | C function               |
/// |-------------|--------------------------|
/// | `resources` | `drmModeGetResources`    |
public struct ModeResources: Sendable {
    public let crtcs: [UInt32]
    public let connectors: [UInt32]
    /// In pixels.
    public let widths: ClosedRange<UInt32>
    public let heights: ClosedRange<UInt32>
}

extension DRMNode {
    /// `notSupported` from a device without a display engine; `noSuchDevice` once the device is gone.
    public func modeResources() throws(Errno) -> ModeResources {
        guard let found = unsafe drmModeGetResources(descriptor.number) else { throw Errno(rawValue: errno) }
        defer { unsafe drmModeFreeResources(found) }
        let (minimum, maximum) = unsafe (
            (found.pointee.min_width, found.pointee.min_height), (found.pointee.max_width, found.pointee.max_height)
        )
        return ModeResources(
            crtcs: unsafe numbers(found.pointee.crtcs, found.pointee.count_crtcs),
            connectors: unsafe numbers(found.pointee.connectors, found.pointee.count_connectors),
            widths: minimum.0...max(minimum.0, maximum.0), heights: minimum.1...max(minimum.1, maximum.1))
    }
}

/// A C array as one of ours.
@unsafe
func numbers(_ start: UnsafeMutablePointer<UInt32>?, _ count: some BinaryInteger) -> [UInt32] {
    unsafe Array(UnsafeBufferPointer(start: start, count: Int(count)))
}
