// SPDX-License-Identifier: Apache-2.0

/// CRC-32 (the reflected polynomial 0xedb88320), which finds what was torn or flipped: every change of up to 32 bits in a
/// row, and so every byte.
public struct CRC32: Hashable, Sendable {
    private var state = UInt32.max

    public init() {}

    public var value: UInt32 { ~state }

    public mutating func add(_ byte: UInt8) {
        state = state >> 8 ^ Self.table[Int(UInt8(truncatingIfNeeded: state) ^ byte)]
    }

    public static func of(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var sum = CRC32()
        for byte in bytes { sum.add(byte) }
        return sum.value
    }

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 0 ? value >> 1 : value >> 1 ^ 0xedb8_8320 }
    }
}
