// SPDX-License-Identifier: Apache-2.0

/// Reads little-endian fields; never past the end.
struct ByteReader: ~Escapable {
    private let bytes: Span<UInt8>
    private var offset = 0

    @_lifetime(copy bytes)
    init(_ bytes: Span<UInt8>) {
        self.bytes = bytes
    }

    var remaining: Int { bytes.count - offset }

    @inline(__always)
    mutating func read<Value: FixedWidthInteger & UnsignedInteger>(
        _: Value.Type = Value.self
    ) throws(WireError) -> Value {
        let size = Value.bitWidth / 8
        guard remaining >= size else { throw .tooShort(needs: offset + size, has: bytes.count) }
        defer { offset += size }
        if size < 8 { return load(at: offset, size) }
        return load(at: offset, 4) | load(at: offset + 4, 4) << 32
    }

    /// Of a part whose size is known, and at most 4, the compiler makes one load.
    @inline(__always)
    private func load<Value: FixedWidthInteger & UnsignedInteger>(at offset: Int, _ size: Int) -> Value {
        let part = bytes.extracting(offset..<offset + size)
        var value: Value = 0
        for index in 0..<size { value |= Value(truncatingIfNeeded: part[index]) << Value(8 * index) }
        return value
    }

    /// `count` bytes of clean UTF-8, as ``Wire/isClean(_:)`` has it.
    mutating func readText(_ count: Int, field: String) throws(WireError) -> String {
        guard remaining >= count else { throw .tooShort(needs: offset + count, has: bytes.count) }
        if count == 0 { return "" }
        let part = bytes.extracting(offset..<offset + count)
        offset += count
        guard let text = try? UTF8Span(validating: part) else { throw .invalidText(field: field) }
        let string = String(copying: text)
        guard Wire.isClean(string) else { throw .invalidText(field: field) }
        return string
    }

    /// Bytes without a meaning yet.
    @inline(__always)
    mutating func readReserved(_ count: Int) throws(WireError) {
        guard remaining >= count else { throw .tooShort(needs: offset + count, has: bytes.count) }
        let part = bytes.extracting(offset..<offset + count)
        var bits: UInt8 = 0
        for index in 0..<count { bits |= part[index] }
        guard bits == 0 else { throw .reservedBits(field: "reserved") }
        offset += count
    }

    /// A field whose values are the cases of an enumeration.
    @inline(__always)
    mutating func readCase<Case: RawRepresentable>(
        _: Case.Type = Case.self, field: String
    ) throws(WireError) -> Case where Case.RawValue: FixedWidthInteger & UnsignedInteger {
        let value = try read(Case.RawValue.self)
        guard let result = Case(rawValue: value) else { throw .invalidValue(field: field, value: UInt64(value)) }
        return result
    }

    func finish() throws(WireError) {
        if remaining > 0 { throw .trailingBytes(remaining) }
    }
}
