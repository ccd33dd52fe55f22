// SPDX-License-Identifier: Apache-2.0

/// Writes little-endian fields, one behind the other, into room that the caller keeps and uses again.
///
/// Traps where the room ends: whoever lends it knows the longest there is to write.
struct ByteWriter: ~Copyable, ~Escapable {
    private var room: MutableSpan<UInt8>
    private(set) var count = 0

    @_lifetime(copy room)
    init(_ room: consuming MutableSpan<UInt8>) { self.room = room }

    var written: Span<UInt8> {
        @_lifetime(borrow self) borrowing get { room.span.extracting(first: count) }
    }

    @inline(__always)
    mutating func write<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
        put(value, at: count)
        // What was put lies in the room.
        count &+= Value.bitWidth / 8
    }

    /// Eight fields of a byte, at once.
    @inline(__always)
    mutating func write(
        _ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8,
        _ fifth: UInt8, _ sixth: UInt8, _ seventh: UInt8, _ eighth: UInt8
    ) {
        let low = UInt32(first) | UInt32(second) << 8 | UInt32(third) << 16 | UInt32(fourth) << 24
        let high = UInt32(fifth) | UInt32(sixth) << 8 | UInt32(seventh) << 16 | UInt32(eighth) << 24
        write(UInt64(low) | UInt64(high) << 32)
    }

    @inline(__always)
    mutating func writeReserved(_ count: Int) {
        for _ in 0..<count / 8 { write(UInt64(0)) }
        if count & 4 != 0 { write(UInt32(0)) }
        if count & 2 != 0 { write(UInt16(0)) }
        if count & 1 != 0 { write(UInt8(0)) }
    }

    mutating func write(text: String) {
        if text.isEmpty { return }
        precondition(Wire.isClean(text), "control characters in a text for the wire")
        for byte in text.utf8 { write(byte) }
    }

    /// Puts the size, known only at the end, where the header has it.
    mutating func patch(size: UInt32, at offset: Int) {
        precondition(offset + 4 <= count, "a size behind the end")
        put(size, at: offset)
    }

    @inline(__always)
    private mutating func put<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
        var bytes = MutableRawSpan(_elements: &room)
        bytes.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
    }
}
