// SPDX-License-Identifier: Apache-2.0

/// One figure of the registry's: a counter that only grows, or what is there now.
public struct Statistic: Equatable, Sendable {
    /// A word of its own language, "requests": for programs and people alike.
    public var name: String
    public var value: UInt64

    public init(_ name: String, _ value: UInt64) {
        self.name = name
        self.value = value
    }

    /// So many in one answer.
    public static let limit = 64
    public static let nameLimit = 32
}

extension Statistic: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        value = try reader.read()
        let length = try reader.readCount(UInt8.self, 1...Self.nameLimit, field: "name length")
        name = try reader.readText(length, field: "name")
    }

    func write(to writer: inout ByteWriter) {
        precondition((1...Self.nameLimit).contains(name.utf8.count), "a figure's name of \(name.utf8.count) bytes")
        writer.write(value)
        writer.write(UInt8(name.utf8.count))
        writer.write(text: name)
    }
}
