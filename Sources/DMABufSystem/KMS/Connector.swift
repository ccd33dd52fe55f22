// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc
public import SystemPackage

/// A socket that a screen is plugged into, and what the screen can do.
///
/// | Swift       | C function                                                                        |
/// |-------------|-----------------------------------------------------------------------------------|
/// | `connector` | `drmModeGetConnector`, `drmModeConnectorGetPossibleCrtcs`, `drmModeGetEncoder`    |
public struct Connector: Sendable {
    public let number: UInt32
    /// "VGA-1", "HDMI-A-2": its type and its number among those of the type.
    public let name: String
    public let isConnected: Bool
    public let modes: [DisplayMode]
    /// The CRTC that drives it now.
    public let crtc: UInt32?
    /// Which CRTCs can drive it: bit *i* stands for ``ModeResources/crtcs`` *i*.
    public let possibleCRTCs: UInt32
}

extension DRMNode {
    /// Asks the screen what it can do, which may take a while. `noSuchFileOrDirectory` if there is no such connector any more.
    public func connector(_ number: UInt32) throws(Errno) -> Connector {
        guard let found = unsafe drmModeGetConnector(descriptor.number, number) else { throw Errno(rawValue: errno) }
        defer { unsafe drmModeFreeConnector(found) }
        let type = unsafe drmModeGetConnectorTypeName(found.pointee.connector_type)
        let name = unsafe type.map { unsafe String(cString: $0) } ?? "Unknown"
        let modes = unsafe UnsafeBufferPointer(start: found.pointee.modes, count: Int(found.pointee.count_modes))
        return Connector(
            number: number,
            name: unsafe "\(name)-\(found.pointee.connector_type_id)",
            isConnected: unsafe found.pointee.connection == DRM_MODE_CONNECTED,
            modes: unsafe modes.map { DisplayMode(info: $0) },
            crtc: unsafe crtc(ofEncoder: found.pointee.encoder_id),
            possibleCRTCs: unsafe drmModeConnectorGetPossibleCrtcs(descriptor.number, found))
    }

    private func crtc(ofEncoder number: UInt32) -> UInt32? {
        guard number != 0, let encoder = unsafe drmModeGetEncoder(descriptor.number, number) else { return nil }
        defer { unsafe drmModeFreeEncoder(encoder) }
        let crtc = unsafe encoder.pointee.crtc_id
        return crtc == 0 ? nil : crtc
    }
}
