// SPDX-License-Identifier: Apache-2.0

/// A value with a layout: how it is read and how it is written stand beside each other.
protocol WireValue {
    init(from reader: inout ByteReader) throws(WireError)
    func write(to writer: inout ByteWriter)
}

extension ByteReader {
    mutating func read<Value: WireValue>(_: Value.Type = Value.self) throws(WireError) -> Value {
        try Value(from: &self)
    }

    /// Most lists have none or one, and need no room that grows.
    @inline(__always)
    mutating func readList<Element>(
        _ count: Int, _ read: (inout ByteReader) throws(WireError) -> Element
    ) throws(WireError) -> [Element] {
        if count == 0 { return [] }
        if count == 1 { return [try read(&self)] }
        return try readSome(count, read)
    }

    /// As above, of values with a layout.
    @inline(__always)
    mutating func readList<Element: WireValue>(_ count: Int) throws(WireError) -> [Element] {
        try readList(count) { (reader) throws(WireError) in try reader.read() }
    }

    private mutating func readSome<Element>(
        _ count: Int, _ read: (inout ByteReader) throws(WireError) -> Element
    ) throws(WireError) -> [Element] {
        var elements: [Element] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try read(&self)) }
        return elements
    }
}

extension ByteWriter {
    mutating func write(_ value: some WireValue) { value.write(to: &self) }

    mutating func write(_ values: [some WireValue]) {
        for value in values { value.write(to: &self) }
    }
}
