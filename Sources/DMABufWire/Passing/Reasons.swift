// SPDX-License-Identifier: Apache-2.0

public struct Farewell: Equatable, Sendable {
    public var reason: Reason
    /// For a person.
    public var text: String

    public init(_ reason: Reason, _ text: String) {
        self.reason = reason
        self.text = text
    }

    public enum Reason: UInt32, Sendable {
        case done = 0
        case malformed = 1
        case version = 2
        case descriptorsLost = 3
        case deadline = 4
        case unexpected = 5
        // The registry's, to a client.
        case slowReader = 6
        case ignoredRevoke = 7
        case ignoredLease = 8
        /// It does not serve this peer, whenever that comes.
        case unserved = 9
        /// It goes away, and another may come in its place.
        case leaving = 10
        /// It has no room for one more, or for one more of this user's.
        case full = 11
    }
}

public struct OfferRefusal: Equatable, Sendable {
    public var reason: Reason
    public var text: String

    public init(_ reason: Reason, _ text: String) {
        self.reason = reason
        self.text = text
    }

    public enum Reason: UInt32, Sendable {
        /// A descriptor is not what the offer calls it.
        case wrongKind = 1
        /// The description does not fit the memory.
        case description = 2
        /// A memfd that may still shrink under the reader.
        case unsealed = 3
        /// The receiver wants no (more) buffers.
        case unwanted = 4
        /// The registry could not do it; the text says what failed.
        case failed = 5
        /// The registry's machine has not what it takes: no device, or no right to open it.
        case unavailable = 6
    }
}

extension Farewell: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        reason = try reader.readCase(field: "reason")
        text = try reader.readReasonText()
    }

    func write(to writer: inout ByteWriter) {
        writer.write(reason.rawValue)
        writer.write(reason: text)
    }
}

extension OfferRefusal: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        reason = try reader.readCase(field: "reason")
        text = try reader.readReasonText()
    }

    func write(to writer: inout ByteWriter) {
        writer.write(reason.rawValue)
        writer.write(reason: text)
    }
}

extension ByteReader {
    fileprivate mutating func readReasonText() throws(WireError) -> String {
        let count = Int(try read(UInt16.self))
        try readReserved(2)
        guard count <= Wire.reasonLimit else { throw .invalidValue(field: "text length", value: UInt64(count)) }
        return try readText(count, field: "text")
    }
}

extension ByteWriter {
    fileprivate mutating func write(reason text: String) {
        precondition(text.utf8.count <= Wire.reasonLimit, "a reason of \(text.utf8.count) bytes")
        write(UInt16(text.utf8.count))
        writeReserved(2)
        write(text: text)
    }
}
