// SPDX-License-Identifier: Apache-2.0

import CDRM
import Glibc
public import SystemPackage

/// A framebuffer: a GEM buffer that a display engine has agreed to show. Removed when the value ends.
///
/// | Swift | C function                         |
/// |-------|------------------------------------|
/// | `init`| `drmModeAddFB2`                    |
/// | end   | `drmModeRmFB`                      |
public struct DRMFramebuffer: ~Copyable, Sendable {
    private let node: DRMNode
    private let number: UInt32

    /// Makes a one-plane linear framebuffer of `buffer`, which must outlive the picture, not this value. `stride` in
    /// bytes. `invalidArgument` if the engine cannot show that; needs no DRM master.
    public init(
        _ buffer: borrowing GEMBuffer, width: UInt32, height: UInt32, fourcc: UInt32, stride: UInt32
    ) throws(Errno) {
        var number: UInt32 = 0
        let handles: [4 of UInt32] = [buffer.handle, 0, 0, 0]
        let strides: [4 of UInt32] = [stride, 0, 0, 0]
        let offsets: [4 of UInt32] = [0, 0, 0, 0]
        let answer = unsafe handles.span.withUnsafeBufferPointer { handles in
            unsafe strides.span.withUnsafeBufferPointer { strides in
                unsafe offsets.span.withUnsafeBufferPointer { offsets in
                    unsafe drmModeAddFB2(
                        buffer.node.descriptor.number, width, height, fourcc, handles.baseAddress, strides.baseAddress,
                        offsets.baseAddress, &number, 0)
                }
            }
        }
        guard answer == 0 else { throw Errno(rawValue: answer == -1 ? errno : -answer) }
        node = buffer.node
        self.number = number
    }

    deinit { drmModeRmFB(node.descriptor.number, number) }
}
