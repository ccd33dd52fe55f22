// SPDX-License-Identifier: Apache-2.0

/// The two control pages of a client. Their words have 64 bits and are counted from 0.
public struct Pages: Equatable, Sendable {
    /// How large they are: a multiple of 8, and at most ``sizeLimit``.
    public var publishedByteCount: UInt32
    public var ownByteCount: UInt32
    /// The word of the published page that holds the client's number until the client is cut off.
    public var connection: UInt32

    public static let sizeLimit: UInt32 = 1 << 24

    public init(publishedByteCount: UInt32, ownByteCount: UInt32, connection: UInt32) {
        self.publishedByteCount = publishedByteCount
        self.ownByteCount = ownByteCount
        self.connection = connection
    }
}

extension Pages: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        publishedByteCount = try reader.readPageSize(field: "published bytes")
        ownByteCount = try reader.readPageSize(field: "own bytes")
        connection = try reader.read()
        guard connection < publishedByteCount / 8 else {
            throw .invalidValue(field: "connection", value: UInt64(connection))
        }
        try reader.readReserved(4)
    }

    func write(to writer: inout ByteWriter) {
        for size in [publishedByteCount, ownByteCount] {
            precondition(size > 0 && size % 8 == 0 && size <= Self.sizeLimit, "a page of \(size) bytes")
        }
        precondition(connection < publishedByteCount / 8, "no word \(connection) in the page")
        writer.write(publishedByteCount)
        writer.write(ownByteCount)
        writer.write(connection)
        writer.writeReserved(4)
    }
}

extension ByteReader {
    fileprivate mutating func readPageSize(field: String) throws(WireError) -> UInt32 {
        let size = try read(UInt32.self)
        guard size > 0, size % 8 == 0, size <= Pages.sizeLimit else {
            throw .invalidValue(field: field, value: UInt64(size))
        }
        return size
    }
}

/// Where an attachment's accesses are counted, and what the buffer's slot says while they may begin.
public struct GrantedWord: Equatable, Sendable {
    /// The slot's value without its flags; above 3.
    public var stamp: UInt64
    /// The buffer's word in the published page.
    public var slot: UInt32
    /// The attachment's word in the client's own page.
    public var word: UInt32

    public init(stamp: UInt64, slot: UInt32, word: UInt32) {
        self.stamp = stamp
        self.slot = slot
        self.word = word
    }
}

extension GrantedWord: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        stamp = try reader.read()
        guard SlotValue(rawValue: stamp).isStamp else { throw .invalidValue(field: "stamp", value: stamp) }
        slot = try reader.read()
        word = try reader.read()
    }

    func write(to writer: inout ByteWriter) {
        precondition(SlotValue(rawValue: stamp).isStamp, "no stamp: \(stamp)")
        writer.write(stamp)
        writer.write(slot)
        writer.write(word)
    }
}

/// What a buffer's slot in the published page holds: a stamp from one counter that never repeats, and two flags below it.
public struct SlotValue: Equatable, Sendable {
    public var rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    private static let movingFlag: UInt64 = 1
    private static let fencesFlag: UInt64 = 2
    private static let flags: UInt64 = 3
    /// What one more stamp adds.
    public static let step: UInt64 = 4

    /// The value without its flags.
    public var stamp: UInt64 { rawValue & ~Self.flags }
    fileprivate var isStamp: Bool { rawValue >= Self.step && rawValue & Self.flags == 0 }

    /// A move is under way: no access begins, and the last that ends is acknowledged.
    public var isMoving: Bool {
        get { rawValue & Self.movingFlag != 0 }
        set { rawValue = newValue ? rawValue | Self.movingFlag : rawValue & ~Self.movingFlag }
    }

    /// A fence is pending: wait, by message, before an access.
    public var hasFences: Bool {
        get { rawValue & Self.fencesFlag != 0 }
        set { rawValue = newValue ? rawValue | Self.fencesFlag : rawValue & ~Self.fencesFlag }
    }
}
