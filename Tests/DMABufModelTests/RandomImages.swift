// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import TestSupport

extension SplitMix64 {
    /// A value with any number of bits, so that small ones and huge ones are equally common.
    mutating func magnitude<Value: FixedWidthInteger & UnsignedInteger>() -> Value {
        Value(truncatingIfNeeded: next()) >> Value.random(in: 0..<Value(Value.bitWidth), using: &self)
    }

    /// A linear image of a known format with its number of planes, sensible in nothing else.
    mutating func linearImage() -> BufferDescription {
        let format = PixelFormat(PixelFormat.known.randomElement(using: &self)!)!
        let sizes = (0..<Int.random(in: 1...4, using: &self)).map { _ in magnitude() as UInt64 }
        let planes = format.planes.map { _ in
            (Int.random(in: 0..<sizes.count, using: &self), magnitude() as UInt64, magnitude() as UInt32)
        }
        return .image(format.text, magnitude(), magnitude(), planes: planes, sizes: sizes)
    }
}
