// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc

/// The timing of a screen. The corresponding C type is `drmModeModeInfo`.
public struct DisplayMode: Equatable, Sendable {
    let info: drmModeModeInfo

    /// Of the visible part, in pixels.
    public var width: UInt32 { UInt32(info.hdisplay) }
    public var height: UInt32 { UInt32(info.vdisplay) }
    /// "640x480", as the kernel names it.
    public var name: String { text(of: info.name) }
    /// What the screen itself likes best.
    public var isPreferred: Bool { info.type & UInt32(DRM_MODE_TYPE_PREFERRED) != 0 }
    /// Frames per second, rounded.
    public var refresh: UInt32 { info.vrefresh }

    /// From one frame to the next; a sixtieth of a second where the timing says nothing.
    public var period: Duration {
        let dots = Int64(info.htotal) * Int64(info.vtotal)
        guard info.clock > 0, dots > 0 else { return .nanoseconds(16_666_667) }
        return .nanoseconds(dots * 1_000_000 / Int64(info.clock))
    }

    public static func == (one: DisplayMode, other: DisplayMode) -> Bool {
        unsafe withUnsafeBytes(of: one.info) { one in
            unsafe withUnsafeBytes(of: other.info) { other in
                unsafe memcmp(one.baseAddress!, other.baseAddress!, one.count) == 0
            }
        }
    }
}
