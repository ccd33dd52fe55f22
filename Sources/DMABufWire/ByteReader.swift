// SPDX-License-Identifier: Apache-2.0

/// Reads little-endian fields; never past the end.
struct ByteReader: ~Escapable {
    private let bytes: Span<UInt8>
    private let total: Int
    private var position = 0

    @_lifetime(copy bytes)
    init(_ bytes: Span<UInt8>) {
        self.bytes = bytes
        total = bytes.count
    }

    var remaining: Int { total - position }

    @inline(__always)
    mutating func read<Value: FixedWidthInteger & UnsignedInteger>(
        _: Value.Type = Value.self
    ) throws(WireError) -> Value {
        var fields = try readFields(Value.bitWidth / 8)
        return fields.read()
    }

    /// The next `count` bytes, as fields that have as many whatever they hold: this is the one look at the end that they need.
    /// What is cut short is `tooShort`, whatever is wrong with it besides.
    @inline(__always)
    @_lifetime(copy self)
    mutating func readFields(_ count: Int) throws(WireError) -> FieldReader { FieldReader(try take(count)) }

    @inline(__always)
    @_lifetime(copy self)
    private mutating func take(_ count: Int) throws(WireError) -> Span<UInt8> {
        guard remaining >= count else { throw .tooShort(needs: position + count, has: total) }
        let part = bytes.extracting(position..<position &+ count)
        position &+= count
        // Said for the compiler: what is read out of it is inside.
        precondition(part.count == count)
        return part
    }

    /// `count` bytes of clean UTF-8, as ``Wire/isClean(_:)`` has it.
    @inline(__always)
    mutating func readText(_ count: Int, field: String) throws(WireError) -> String {
        count == 0 ? "" : try readSomeText(count, field: field)
    }

    private mutating func readSomeText(_ count: Int, field: String) throws(WireError) -> String {
        let part = try take(count)
        guard let text = try? UTF8Span(validating: part) else { throw .invalidText(field: field) }
        let string = String(copying: text)
        guard Wire.isClean(string) else { throw .invalidText(field: field) }
        return string
    }

    /// Bytes without a meaning yet.
    @inline(__always)
    mutating func readReserved(_ count: Int) throws(WireError) {
        var fields = try readFields(count)
        try fields.readReserved(count)
    }

    /// A field whose values are the cases of an enumeration.
    @inline(__always)
    mutating func readCase<Case: RawRepresentable>(
        _: Case.Type = Case.self, field: String
    ) throws(WireError) -> Case where Case.RawValue: FixedWidthInteger & UnsignedInteger {
        var fields = try readFields(Case.RawValue.bitWidth / 8)
        return try fields.readCase(field: field)
    }

    /// A number of elements, as the layout's field of that width has it.
    @inline(__always)
    mutating func readCount<Count: FixedWidthInteger & UnsignedInteger>(
        _: Count.Type, _ range: ClosedRange<Int>, field: String
    ) throws(WireError) -> Int {
        var fields = try readFields(Count.bitWidth / 8)
        return try fields.readCount(Count.self, range, field: field)
    }

    func finish() throws(WireError) {
        if remaining > 0 { throw .trailingBytes(remaining) }
    }
}
