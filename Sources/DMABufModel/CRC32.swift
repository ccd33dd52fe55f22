// SPDX-License-Identifier: Apache-2.0

/// CRC-32 (the reflected polynomial 0xedb88320), which finds what was torn or flipped: every change of up to 32 bits in a
/// row, and so every byte.
public enum CRC32 {
    /// Eight bytes at a time, each through a table of its own ("slicing by 8"), then the rest one by one.
    public static func of(_ bytes: Span<UInt8>) -> UInt32 {
        let table = tables.span
        var state = UInt32.max
        var index = 0
        while bytes.count - index >= 8 {
            var sum: UInt32 = 0
            for byte in 0..<4 {
                let value = bytes[index + byte] ^ UInt8(truncatingIfNeeded: state >> UInt32(8 * byte))
                sum ^= table[256 * (7 - byte) + Int(value)]
            }
            for byte in 4..<8 { sum ^= table[256 * (7 - byte) + Int(bytes[index + byte])] }
            state = sum
            index += 8
        }
        while index < bytes.count {
            state = state >> 8 ^ table[Int(bytes[index] ^ UInt8(truncatingIfNeeded: state))]
            index += 1
        }
        return ~state
    }

    /// Table *n* has what a byte comes to that *n* further ones follow.
    private static let tables: [UInt32] = {
        var tables = (0..<256).map { (index: UInt32) -> UInt32 in
            (0..<8).reduce(index) { value, _ in value & 1 == 0 ? value >> 1 : value >> 1 ^ 0xedb8_8320 }
        }
        for index in 256..<8 * 256 {
            let before = tables[index - 256]
            tables.append(before >> 8 ^ tables[Int(before & 0xff)])
        }
        return tables
    }()
}
