// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

// Rule: a journal that is torn anywhere reads back to the last good record.
//
// A record is its payload's length (4 bytes), its kind (2), the payload, and the CRC-32 of all that (4), little-endian. It
// counts if it is whole, its sum is right and its payload means something; the first that does not count ends the journal,
// for nobody can say where the next one would begin. It is written into a file of zeros, which no record begins with: zeros
// up to the end of the file are room that is left, and anything else is a record that was torn.

/// Appends records to bytes.
public struct JournalWriter {
    /// What was appended, and behind it room for more with no meaning.
    private var room: [UInt8] = []
    private var count = 0

    public init() {}

    /// All that was appended.
    public var written: Span<UInt8> {
        @_lifetime(borrow self) borrowing get { room.span.extracting(first: count) }
    }

    public var isEmpty: Bool { count == 0 }
    /// Keeps the space for the next records.
    public mutating func removeAll() { count = 0 }

    public mutating func append(_ record: JournalRecord) {
        if room.count - count < JournalFrame.limit {
            room.append(contentsOf: repeatElement(0, count: max(room.count, JournalFrame.limit)))
        }
        let place = count..<count + JournalFrame.limit
        var span = room.mutableSpan
        var writer = ByteWriter(span._mutatingExtracting(place))
        writer.write(UInt32(0))  // length, below
        writer.write(record.kind.rawValue)
        record.write(to: &writer)
        let length = writer.count - JournalFrame.head
        precondition(length <= JournalFrame.payloadLimit, "a record of \(length) bytes")
        writer.patch(size: UInt32(length), at: 0)
        writer.write(CRC32.of(writer.written))
        count += writer.count
    }
}

/// What a journal's bytes come to.
public struct JournalReading: Equatable, Sendable {
    public var records: [JournalRecord] = []
    /// Up to here the bytes are good.
    public var goodByteCount = 0
    /// Whether there was more than zeros, which does not count.
    public var isTorn = false

    public init(_ bytes: [UInt8]) {
        while goodByteCount < bytes.count {
            guard let (record, end) = JournalFrame.read(bytes, at: goodByteCount) else {
                isTorn = bytes[goodByteCount...].contains { $0 != 0 }
                return
            }
            records.append(record)
            goodByteCount = end
        }
    }
}

enum JournalFrame {
    static let head = 6
    static let sum = 4
    static let payloadLimit = 8192
    static let limit = head + payloadLimit + sum

    /// The record at `start`, and where it ends.
    static func read(_ bytes: [UInt8], at start: Int) -> (JournalRecord, end: Int)? {
        var reader = ByteReader(bytes.span.extracting(start..<bytes.count))
        guard let length = try? reader.read(UInt32.self), length <= payloadLimit,
            let kind = try? reader.read(UInt16.self), reader.remaining >= Int(length) + sum
        else { return nil }
        let end = start + head + Int(length)
        var tail = ByteReader(bytes.span.extracting(end..<end + sum))
        guard let stated = try? tail.read(UInt32.self), stated == CRC32.of(bytes.span.extracting(start..<end)),
            let kind = JournalKind(rawValue: kind)
        else { return nil }
        var payload = ByteReader(bytes.span.extracting(start + head..<end))
        guard let record = try? JournalRecord(kind, from: &payload), payload.remaining == 0 else { return nil }
        return (record, end + sum)
    }
}

/// What is so at the end of a journal.
public struct JournalContents: Equatable, Sendable {
    public var start: JournalStart
    public var clients: [ClientID: (client: DurableClient, secret: SecretHash)] = [:]
    public var buffers: [BufferID: (buffer: DurableBuffer, memories: Memories, isOurs: Bool)] = [:]
    public var tokens: [TokenID: DurableToken] = [:]
    public var attachments: [AttachmentID: DurableAttachment] = [:]

    /// nil unless the first record is a start.
    public init?(_ records: [JournalRecord]) {
        guard case .start(let start)? = records.first else { return nil }
        self.start = start
        for record in records.dropFirst() { apply(record) }
    }

    private mutating func apply(_ record: JournalRecord) {
        switch record {
        case .start(let start): self.start = start
        case .client(let client, let secret): clients[client.id] = (client, secret)
        case .buffer(let buffer, let memories, let isOurs): buffers[buffer.id] = (buffer, memories, isOurs)
        case .token(let token): tokens[token.id] = token
        case .attachment(let attachment): attachments[attachment.id] = attachment
        case .clientEnded(let id): clients[id] = nil
        case .bufferEnded(let id): buffers[id] = nil
        case .tokenEnded(let id): tokens[id] = nil
        case .attachmentEnded(let id): attachments[id] = nil
        }
    }

    /// As the rules take it: what another depends on comes first.
    public var durable: Durable {
        var all = Durable()
        all.clients = clients.values.map(\.client).sorted { $0.id.rawValue < $1.id.rawValue }
        all.buffers = buffers.values.map(\.buffer).sorted { ($0.id.high, $0.id.low) < ($1.id.high, $1.id.low) }
        all.tokens = tokens.values.sorted {
            (depth(of: $0), $0.id.high, $0.id.low) < (depth(of: $1), $1.id.high, $1.id.low)
        }
        all.attachments = attachments.values.sorted { $0.id.rawValue < $1.id.rawValue }
        return all
    }

    /// How many stand above it. A ring, which nobody writes, ends somewhere.
    private func depth(of token: DurableToken) -> Int {
        var (count, above) = (0, token.parent)
        while let id = above, count < 256 {
            count += 1
            above = tokens[id]?.parent
        }
        return count
    }

    public static func == (one: JournalContents, other: JournalContents) -> Bool {
        one.start == other.start && one.durable == other.durable
            && one.clients.mapValues(\.secret) == other.clients.mapValues(\.secret)
            && one.buffers.mapValues(\.memories) == other.buffers.mapValues(\.memories)
            && one.buffers.mapValues(\.isOurs) == other.buffers.mapValues(\.isOurs)
    }
}
