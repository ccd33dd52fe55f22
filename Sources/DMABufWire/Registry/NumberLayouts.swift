// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// A number of 64 bits with a type of its own. 0 is never given to anything, so it stands for none.
protocol WireNumber: WireValue {
    static var field: String { get }
    var rawValue: UInt64 { get }
    init(_ rawValue: UInt64)
}

extension WireNumber {
    init(from reader: inout ByteReader) throws(WireError) {
        let value = try reader.read(UInt64.self)
        guard value != 0 else { throw .invalidValue(field: Self.field, value: 0) }
        self.init(value)
    }

    func write(to writer: inout ByteWriter) {
        precondition(rawValue != 0, "\(Self.field) 0 stands for none")
        writer.write(rawValue)
    }
}

extension ClientID: WireNumber { static var field: String { "client" } }
extension AttachmentID: WireNumber { static var field: String { "attachment" } }
extension FenceID: WireNumber { static var field: String { "fence" } }
extension LockNumber: WireNumber { static var field: String { "lock" } }
extension Generation: WireNumber { static var field: String { "generation" } }

/// Nanoseconds, of the clock or of a length of time.
extension Instant: WireValue {
    init(from reader: inout ByteReader) throws(WireError) { self.init(nanoseconds: try reader.read()) }
    func write(to writer: inout ByteWriter) { writer.write(nanoseconds) }
}

extension Interval: WireValue {
    init(from reader: inout ByteReader) throws(WireError) { self.init(nanoseconds: try reader.read()) }
    func write(to writer: inout ByteWriter) { writer.write(nanoseconds) }
}

/// 16 bytes in the order in which their hexadecimal digits are written.
extension BufferID: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let (high, low): (UInt64, UInt64) = (try reader.read(), try reader.read())
        self.init(high: high.byteSwapped, low: low.byteSwapped)
    }

    func write(to writer: inout ByteWriter) {
        writer.write(high.byteSwapped)
        writer.write(low.byteSwapped)
    }
}

/// As a buffer's number. On the wire it is the secret itself.
extension TokenID: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let number: BufferID = try reader.read()
        self.init(high: number.high, low: number.low)
    }

    func write(to writer: inout ByteWriter) { BufferID(high: high, low: low).write(to: &writer) }
}

extension ByteReader {
    mutating func readOptional<Number: WireNumber>() throws(WireError) -> Number? {
        let value = try read(UInt64.self)
        return value == 0 ? nil : Number(value)
    }

    /// 0 stands for none: no lease, no end.
    mutating func readOptionalInterval() throws(WireError) -> Interval? {
        let interval: Interval = try read()
        return interval.nanoseconds == 0 ? nil : interval
    }

    /// Zeros stand for none.
    mutating func readOptionalToken() throws(WireError) -> TokenID? {
        let token: TokenID = try read()
        return token == TokenID(high: 0, low: 0) ? nil : token
    }

    mutating func readToken() throws(WireError) -> TokenID {
        guard let token = try readOptionalToken() else { throw .invalidValue(field: "token", value: 0) }
        return token
    }

    /// A uid; all ones, which no uid is, stand for the asker's own.
    mutating func readOptionalUID() throws(WireError) -> UInt32? {
        let uid = try read(UInt32.self)
        return uid == .max ? nil : uid
    }

    mutating func readName(_ length: Int) throws(WireError) -> String { try readText(length, field: "name") }

    /// A name behind its length.
    mutating func readName() throws(WireError) -> String {
        try readName(try readCount(UInt8.self, 1...Wire.registryNameLimit, field: "name length"))
    }

    mutating func readRights() throws(WireError) -> Rights { Rights(rawValue: try read()) }
}

extension ByteWriter {
    mutating func write<Number: WireNumber>(optional number: Number?) {
        precondition(number?.rawValue != 0, "0 stands for none")
        write(number?.rawValue ?? 0)
    }

    mutating func write(optional interval: Interval?) {
        precondition(interval?.nanoseconds != 0, "no time stands for none")
        write(interval?.nanoseconds ?? 0)
    }

    mutating func write(optional token: TokenID?) {
        precondition(token != TokenID(high: 0, low: 0), "zeros stand for no token")
        write(token ?? TokenID(high: 0, low: 0))
    }

    mutating func write(optionalUID uid: UInt32?) {
        precondition(uid != .max, "no uid has all bits set")
        write(uid ?? .max)
    }

    mutating func write(nameLength name: String) {
        precondition(name.utf8.count <= Wire.registryNameLimit, "a name of \(name.utf8.count) bytes")
        write(UInt8(name.utf8.count))
    }

    /// A name behind its length.
    mutating func write(name: String) {
        precondition(name != "", "an empty name")
        write(nameLength: name)
        write(text: name)
    }
}
