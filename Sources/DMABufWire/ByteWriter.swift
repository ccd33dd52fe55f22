// SPDX-License-Identifier: Apache-2.0

/// Appends little-endian fields to bytes that the caller keeps and reuses.
struct ByteWriter {
    /// What was written so far, and behind it room for more with no meaning.
    private var room: [UInt8] = []
    private(set) var count = 0

    init() {}

    /// Takes the space of `other`, which is empty until ``finish(into:)``; so it is never shared, and never copied.
    init(reusing other: inout [UInt8]) { swap(&room, &other) }

    /// Gives back the space, with exactly what was written.
    mutating func finish(into other: inout [UInt8]) {
        room.removeLast(room.count - count)
        count = 0
        swap(&room, &other)
    }

    mutating func removeAll() { count = 0 }

    var written: Span<UInt8> {
        @_lifetime(borrow self) borrowing get { room.span.extracting(0..<count) }
    }

    mutating func write<Value: FixedWidthInteger>(_ value: Value) {
        put(value, at: reserve(Value.bitWidth / 8))
    }

    mutating func writeReserved(_ count: Int) {
        for _ in 0..<count / 8 { write(UInt64(0)) }
        for _ in 0..<count % 8 { write(UInt8(0)) }
    }

    mutating func write(text: String) {
        precondition(Wire.isClean(text), "control characters in a text for the wire")
        for byte in text.utf8 { write(byte) }
    }

    /// Puts the size, known only at the end, where the header has it.
    mutating func patch(size: UInt32, at offset: Int) {
        precondition(offset + 4 <= count, "a size behind the end")
        put(size, at: offset)
    }

    /// Where the next `byteCount` bytes go; there is room for them.
    private mutating func reserve(_ byteCount: Int) -> Int {
        let offset = count
        count += byteCount
        if count > room.count { room.append(contentsOf: repeatElement(0, count: max(128, count))) }
        return offset
    }

    private mutating func put<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        var span = room.mutableSpan
        // Of a part whose size is known the compiler makes one store.
        var part = span._mutatingExtracting(offset..<offset + Value.bitWidth / 8)
        for index in 0..<Value.bitWidth / 8 { part[index] = UInt8(truncatingIfNeeded: value >> Value(8 * index)) }
    }
}
