// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

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
