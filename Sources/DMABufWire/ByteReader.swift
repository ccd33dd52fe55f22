// SPDX-License-Identifier: Apache-2.0

/// Reads little-endian fields; never past the end.
struct ByteReader: ~Escapable {
    private let total: Int
    private var rest: Span<UInt8>

    @_lifetime(copy bytes)
    init(_ bytes: Span<UInt8>) {
        total = bytes.count
        rest = bytes
    }

    var remaining: Int { rest.count }

    @inline(__always)
    mutating func read<Value: FixedWidthInteger & UnsignedInteger>(
        _: Value.Type = Value.self
    ) throws(WireError) -> Value {
        let part = try take(Value.bitWidth / 8)
        if part.count < 8 { return load(part, at: 0, Value.bitWidth / 8) }
        return load(part, at: 0, 4) | load(part, at: 4, 4) << 32
    }

    /// The next `count` bytes.
    @inline(__always)
    @_lifetime(copy self)
    private mutating func take(_ count: Int) throws(WireError) -> Span<UInt8> {
        guard rest.count >= count else { throw .tooShort(needs: total - rest.count + count, has: total) }
        let part = rest.extracting(first: count)
        rest = rest.extracting(droppingFirst: count)
        return part
    }

    /// Of at most 4 bytes the compiler makes one load.
    @inline(__always)
    private func load<Value: FixedWidthInteger & UnsignedInteger>(
        _ part: Span<UInt8>, at offset: Int, _ size: Int
    ) -> Value {
        var value: Value = 0
        for index in 0..<size { value |= Value(truncatingIfNeeded: part[offset + index]) << Value(8 * index) }
        return value
    }

    /// `count` bytes of clean UTF-8, as ``Wire/isClean(_:)`` has it.
    mutating func readText(_ count: Int, field: String) throws(WireError) -> String {
        if count == 0 { return "" }
        let part = try take(count)
        guard let text = try? UTF8Span(validating: part) else { throw .invalidText(field: field) }
        let string = String(copying: text)
        guard Wire.isClean(string) else { throw .invalidText(field: field) }
        return string
    }

    /// Bytes without a meaning yet.
    @inline(__always)
    mutating func readReserved(_ count: Int) throws(WireError) {
        let part = try take(count)
        var bits: UInt8 = 0
        for index in 0..<count { bits |= part[index] }
        guard bits == 0 else { throw .reservedBits(field: "reserved") }
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
