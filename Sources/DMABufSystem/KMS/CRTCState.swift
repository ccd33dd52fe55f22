// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc
public import SystemPackage

/// What a CRTC shows, and where: what has to be set again when a screen is given back.
///
/// | Swift       | C function         |
/// |-------------|--------------------|
/// | `crtcState` | `drmModeGetCrtc`   |
/// | `set`       | `drmModeSetCrtc`   |
/// | `pageFlip`  | `drmModePageFlip`  |
public struct CRTCState: Sendable {
    public let crtc: UInt32
    /// 0: nothing is shown.
    public var framebuffer: UInt32
    public var x: UInt32 = 0
    public var y: UInt32 = 0
    /// nil: it is off.
    public var mode: DisplayMode?
    public var connectors: [UInt32]

    public init(crtc: UInt32, framebuffer: UInt32, mode: DisplayMode?, connectors: [UInt32]) {
        self.crtc = crtc
        self.framebuffer = framebuffer
        self.mode = mode
        self.connectors = connectors
    }
}

extension DRMNode {
    /// As it is now, for the connectors that it drives.
    public func crtcState(_ crtc: UInt32, driving connectors: [UInt32]) throws(Errno) -> CRTCState {
        guard let found = unsafe drmModeGetCrtc(descriptor.number, crtc) else { throw Errno(rawValue: errno) }
        defer { unsafe drmModeFreeCrtc(found) }
        let isOn = unsafe found.pointee.mode_valid != 0
        var state = CRTCState(
            crtc: crtc, framebuffer: unsafe found.pointee.buffer_id,
            mode: isOn ? DisplayMode(info: unsafe found.pointee.mode) : nil, connectors: connectors)
        (state.x, state.y) = unsafe (found.pointee.x, found.pointee.y)
        return state
    }

    /// Sets a mode and what is shown, and waits until it is. A framebuffer may be another file's.
    /// `noSuchFileOrDirectory` if it is no more. Needs the DRM master.
    public func set(_ state: CRTCState) throws(Errno) {
        let file = descriptor.number
        guard state.framebuffer != 0, let mode = state.mode else {
            return try nothingOrDRMError(drmModeSetCrtc(file, state.crtc, 0, 0, 0, nil, 0, nil))
        }
        var info = mode.info
        var connectors = state.connectors
        try nothingOrDRMError(
            unsafe drmModeSetCrtc(
                file, state.crtc, state.framebuffer, state.x, state.y, &connectors, CInt(connectors.count), &info))
    }

    /// Turns a CRTC to another framebuffer of the same size, and does not wait: an event with `token` says when it is on
    /// the screen. `resourceBusy` while another flip is pending. Needs the DRM master.
    public func pageFlip(_ crtc: UInt32, to framebuffer: borrowing DRMFramebuffer, token: UInt64) throws(Errno) {
        try nothingOrDRMError(
            unsafe drmModePageFlip(
                descriptor.number, crtc, framebuffer.number, UInt32(DRM_MODE_PAGE_FLIP_EVENT),
                UnsafeMutableRawPointer(bitPattern: UInt(token))))
    }
}
