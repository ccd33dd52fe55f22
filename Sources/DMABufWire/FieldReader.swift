// SPDX-License-Identifier: Apache-2.0

/// Reads little-endian fields that are all there; traps behind the last. Whoever takes them says how many bytes they have: what it
/// does not read of them, nobody does.
struct FieldReader: ~Escapable {
    private let bytes: Span<UInt8>
    private var position = 0

    @inline(__always)
    @_lifetime(copy bytes)
    init(_ bytes: Span<UInt8>) { self.bytes = bytes }

    @inline(__always)
    mutating func read<Value: FixedWidthInteger & UnsignedInteger>(_: Value.Type = Value.self) -> Value {
        if Value.bitWidth <= 32 { return load(Value.bitWidth / 8) }
        let low: Value = load(4)
        return low | load(4) << 32
    }

    /// Of at most 4 bytes the compiler makes one load.
    @inline(__always)
    private mutating func load<Value: FixedWidthInteger & UnsignedInteger>(_ size: Int) -> Value {
        var value: Value = 0
        for index in 0..<size {
            value |= Value(truncatingIfNeeded: bytes[position &+ index]) << Value(8 * index)
        }
        position &+= size
        return value
    }

    /// Bytes without a meaning yet.
    @inline(__always)
    mutating func readReserved(_ count: Int) throws(WireError) {
        var bits: UInt8 = 0
        for index in 0..<count { bits |= bytes[position &+ index] }
        position &+= count
        guard bits == 0 else { throw .reservedBits(field: "reserved") }
    }

    /// A field whose values are the cases of an enumeration.
    @inline(__always)
    mutating func readCase<Case: RawRepresentable>(
        _: Case.Type = Case.self, field: String
    ) throws(WireError) -> Case where Case.RawValue: FixedWidthInteger & UnsignedInteger {
        let value = read(Case.RawValue.self)
        guard let result = Case(rawValue: value) else { throw .invalidValue(field: field, value: UInt64(value)) }
        return result
    }

    /// A number of elements, as the layout's field of that width has it.
    @inline(__always)
    mutating func readCount<Count: FixedWidthInteger & UnsignedInteger>(
        _: Count.Type, _ range: ClosedRange<Int>, field: String
    ) throws(WireError) -> Int {
        let count = read(Count.self)
        guard range.contains(Int(count)) else { throw .invalidValue(field: field, value: UInt64(count)) }
        return Int(count)
    }
}
