// SPDX-License-Identifier: Apache-2.0

/// Appends little-endian fields to bytes that the caller keeps and reuses.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    /// Takes the space of `other` and leaves it what was written so far; so it is never shared, and never copied.
    mutating func exchange(with other: inout [UInt8]) { swap(&bytes, &other) }

    mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    mutating func write<Value: FixedWidthInteger>(_ value: Value) {
        for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> Value(shift)))
        }
    }

    mutating func writeReserved(_ count: Int) {
        for _ in 0..<count { bytes.append(0) }
    }

    mutating func write(text: String) {
        precondition(Wire.isClean(text), "control characters in a text for the wire")
        bytes.append(contentsOf: text.utf8)
    }

    /// Puts the size, known only at the end, where the header has it.
    mutating func patch(size: UInt32, at offset: Int) {
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: size >> (8 * UInt32(index))) }
    }
}
