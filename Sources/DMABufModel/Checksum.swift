// SPDX-License-Identifier: Apache-2.0

/// FNV-1a, 64 bits: what travels with a buffer so that the other side can tell whether it reads the same bytes. It finds
/// accidents, not attackers.
public struct Checksum: Hashable, Sendable {
    public private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    public init() {}

    public init(value: UInt64) {
        self.value = value
    }

    public mutating func add(_ byte: UInt8) {
        value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
    }

    public mutating func add(_ bytes: RawSpan) {
        let bytes = Span<UInt8>(_bytes: bytes)
        var hash = value
        for index in bytes.indices { hash = (hash ^ UInt64(bytes[index])) &* 0x0000_0100_0000_01b3 }
        value = hash
    }
}

extension Checksum: CustomStringConvertible {
    /// Sixteen hexadecimal digits.
    public var description: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// The pattern that tests and `--fill pattern` write: byte *i* is (i·31 + 7) mod 256.
public enum Pattern {
    public static func byte(at index: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: index &* 31 &+ 7)
    }

    public static func fill(_ bytes: inout MutableRawSpan) {
        for offset in 0..<bytes.byteCount {
            bytes.storeBytes(of: byte(at: offset), toByteOffset: offset, as: UInt8.self)
        }
    }

    /// The checksum of the first `byteCount` bytes of the pattern.
    public static func checksum(byteCount: Int) -> Checksum {
        var checksum = Checksum()
        for index in 0..<byteCount { checksum.add(byte(at: index)) }
        return checksum
    }
}
