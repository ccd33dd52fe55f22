// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc
public import SystemPackage

/// A layer that a CRTC composes its picture of, and what it can read.
///
/// | Swift           | C function                                                    |
/// |-----------------|---------------------------------------------------------------|
/// | `scanoutPlanes` | `drmModeGetPlaneResources`, `drmModeGetPlane`                 |
/// | `modifiers`     | property `IN_FORMATS`, `drmModeFormatModifierBlobIterNext`    |
public struct ScanoutPlane: Sendable {
    public enum Kind: UInt64, Sendable {
        case overlay, primary, cursor
    }

    public let number: UInt32
    public let kind: Kind
    /// The CRTC that has it now.
    public let crtc: UInt32?
    /// Bit *i* stands for ``ModeResources/crtcs`` *i*.
    public let possibleCRTCs: UInt32
    /// By their fourcc, in the driver's order.
    public let formats: [UInt32]
    /// Of each format, those that the driver states; nil if it states none.
    public let modifiers: [UInt32: Set<UInt64>]?
    public let properties: ModeProperties
}

extension DRMNode {
    /// All planes; without ``ClientCapability/universalPlanes`` only the overlays.
    public func scanoutPlanes() throws(Errno) -> [ScanoutPlane] {
        guard let found = unsafe drmModeGetPlaneResources(descriptor.number) else { throw Errno(rawValue: errno) }
        defer { unsafe drmModeFreePlaneResources(found) }
        var planes: [ScanoutPlane] = []
        for number in unsafe numbers(found.pointee.planes, found.pointee.count_planes) {
            planes.append(try scanoutPlane(number))
        }
        return planes
    }

    private func scanoutPlane(_ number: UInt32) throws(Errno) -> ScanoutPlane {
        guard let found = unsafe drmModeGetPlane(descriptor.number, number) else { throw Errno(rawValue: errno) }
        defer { unsafe drmModeFreePlane(found) }
        let properties = try modeProperties(of: number, .plane)
        return ScanoutPlane(
            number: number, kind: properties["type"].flatMap { ScanoutPlane.Kind(rawValue: $0.value) } ?? .overlay,
            crtc: unsafe found.pointee.crtc_id == 0 ? nil : found.pointee.crtc_id,
            possibleCRTCs: unsafe found.pointee.possible_crtcs,
            formats: unsafe numbers(found.pointee.formats, found.pointee.count_formats),
            modifiers: properties["IN_FORMATS"].flatMap { modifiers(inBlob: $0.value) }, properties: properties)
    }

    private func modifiers(inBlob number: UInt64) -> [UInt32: Set<UInt64>]? {
        guard let blob = unsafe drmModeGetPropertyBlob(descriptor.number, UInt32(truncatingIfNeeded: number))
        else { return nil }
        defer { unsafe drmModeFreePropertyBlob(blob) }
        var found: [UInt32: Set<UInt64>] = [:]
        var iterator = drmModeFormatModifierIterator()
        while unsafe drmModeFormatModifierBlobIterNext(blob, &iterator) {
            found[iterator.fmt, default: []].insert(iterator.mod)
        }
        return found
    }
}
