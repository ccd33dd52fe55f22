// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc
public import SystemPackage

/// The properties of a CRTC, a plane or a connector, by their names: the numbers differ between drivers.
///
/// | Swift            | C function                                              |
/// |------------------|---------------------------------------------------------|
/// | `modeProperties` | `drmModeObjectGetProperties`, `drmModeGetProperty`      |
/// | `PropertyBlob`   | `drmModeCreatePropertyBlob`                             |
/// | end of a blob    | `drmModeDestroyPropertyBlob`                            |
public struct ModeProperties: Sendable {
    public struct Property: Sendable {
        public let number: UInt32
        /// As it was when it was asked for.
        public let value: UInt64
    }

    /// What has properties.
    public enum Owner: Sendable {
        case crtc, connector, plane

        fileprivate var type: UInt32 {
            switch self {
            case .crtc: UInt32(DRM_MODE_OBJECT_CRTC)
            case .connector: UInt32(DRM_MODE_OBJECT_CONNECTOR)
            case .plane: UInt32(DRM_MODE_OBJECT_PLANE)
            }
        }
    }

    fileprivate var byName: [String: Property] = [:]

    public subscript(name: String) -> Property? { byName[name] }
}

extension DRMNode {
    /// Without ``ClientCapability/atomic`` some are hidden.
    public func modeProperties(of number: UInt32, _ owner: ModeProperties.Owner) throws(Errno) -> ModeProperties {
        guard let found = unsafe drmModeObjectGetProperties(descriptor.number, number, owner.type)
        else { throw Errno(rawValue: errno) }
        defer { unsafe drmModeFreeObjectProperties(found) }
        var properties = ModeProperties()
        for index in 0..<Int(unsafe found.pointee.count_props) {
            let (property, value) = unsafe (found.pointee.props[index], found.pointee.prop_values[index])
            guard let details = unsafe drmModeGetProperty(descriptor.number, property) else { continue }
            properties.byName[text(of: unsafe details.pointee.name)] = .init(number: property, value: value)
            unsafe drmModeFreeProperty(details)
        }
        return properties
    }
}

/// Bytes that a property refers to. Destroyed when the value ends; a state that refers to it keeps it.
public struct PropertyBlob: ~Copyable, Sendable {
    private let node: DRMNode
    let number: UInt32

    /// A mode, for `MODE_ID`.
    public init(_ mode: DisplayMode, on node: DRMNode) throws(Errno) {
        let file = node.descriptor.number
        var number: UInt32 = 0
        try nothingOrDRMError(
            unsafe withUnsafeBytes(of: mode.info) {
                unsafe drmModeCreatePropertyBlob(file, $0.baseAddress, $0.count, &number)
            })
        self.node = node
        self.number = number
    }

    /// Rectangles, for `FB_DAMAGE_CLIPS`.
    public init(_ clips: [ClipRectangle], on node: DRMNode) throws(Errno) {
        let file = node.descriptor.number
        let rectangles = clips.map { drm_mode_rect(x1: $0.left, y1: $0.top, x2: $0.right, y2: $0.bottom) }
        var number: UInt32 = 0
        try nothingOrDRMError(
            unsafe rectangles.withUnsafeBytes {
                unsafe drmModeCreatePropertyBlob(file, $0.baseAddress, $0.count, &number)
            })
        self.node = node
        self.number = number
    }

    deinit { drmModeDestroyPropertyBlob(node.descriptor.number, number) }
}
