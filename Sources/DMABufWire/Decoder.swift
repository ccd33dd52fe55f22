// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Envelope {
    /// Reads one datagram, strictly: every byte has a meaning, and decoding then encoding gives the same bytes.
    ///
    /// `descriptorCount` is how many descriptors really came with it.
    public init(decoding bytes: Span<UInt8>, descriptorCount: Int) throws(WireError) {
        var reader = ByteReader(bytes)
        let header = try reader.readHeader()
        guard let opcode = Opcode(rawValue: header.opcode) else { throw .unknownOpcode(header.opcode) }
        let message = try Message(opcode, from: &reader)
        try reader.finish()
        try header.check(descriptorsExpected: message.descriptorCount, received: descriptorCount)
        // Nobody answers a notice, so it has no number.
        if opcode.isNotice, header.serial != 0 { throw .reservedBits(field: "serial of a notice") }
        // Only now: a value that is made and then thrown away is a value that is copied.
        self.serial = header.serial
        self.message = message
    }
}

extension OfferEnvelope {
    /// As ``Envelope/init(decoding:descriptorCount:)``; nil for a datagram that begins as another message.
    public init?(decoding bytes: Span<UInt8>, descriptorCount: Int) throws(WireError) {
        var reader = ByteReader(bytes)
        let header = try reader.readHeader()
        guard header.opcode == Opcode.offer.rawValue else { return nil }
        let offer = try Offer(from: &reader)
        try reader.finish()
        try header.check(descriptorsExpected: offer.descriptorCount, received: descriptorCount)
        self.serial = header.serial
        self.offer = offer
    }
}

extension OfferAnswer {
    /// As above, for *accepted* and *refused*.
    public init?(decoding bytes: Span<UInt8>, descriptorCount: Int) throws(WireError) {
        var reader = ByteReader(bytes)
        let header = try reader.readHeader()
        let isAccepted = header.opcode == Opcode.accepted.rawValue
        guard isAccepted || header.opcode == Opcode.refused.rawValue else { return nil }
        let refusal: OfferRefusal? = isAccepted ? nil : try reader.read()
        try reader.finish()
        try header.check(descriptorsExpected: 0, received: descriptorCount)
        self.serial = header.serial
        self.refusal = refusal
    }
}

/// What all messages begin with.
private struct Header {
    let opcode: UInt16
    let descriptorCount: Int
    let serial: UInt64

    @inline(__always)
    func check(descriptorsExpected expected: Int, received: Int) throws(WireError) {
        guard descriptorCount == expected else {
            throw .descriptorCount(stated: descriptorCount, expected: expected)
        }
        guard descriptorCount == received else {
            throw .descriptorsMissing(stated: descriptorCount, received: received)
        }
    }
}

extension ByteReader {
    /// Of a reader of the whole datagram, whose size the header has.
    @inline(__always)
    fileprivate mutating func readHeader() throws(WireError) -> Header {
        let has = remaining
        guard has <= Wire.messageLimit else { throw .tooLong(limit: Wire.messageLimit, has: has) }
        var fields = try readFields(16)
        let opcode = fields.read(UInt16.self)
        let descriptorCount = Int(fields.read(UInt16.self))
        let stated = Int(fields.read(UInt32.self))
        let serial = fields.read(UInt64.self)
        guard stated == has else { throw .sizeMismatch(stated: stated, has: has) }
        return Header(opcode: opcode, descriptorCount: descriptorCount, serial: serial)
    }
}

extension Message {
    fileprivate init(_ opcode: Opcode, from reader: inout ByteReader) throws(WireError) {
        switch opcode {
        case .hello: self = .hello(try reader.read())
        case .farewell: self = .farewell(try reader.read())
        case .offer: self = .offer(try reader.read())
        case .accepted: self = .accepted
        case .refused: self = .refused(try reader.read())
        case .join: self = .join(try reader.read())
        case .joined: self = .joined(try Joined(hasPages: false, from: &reader))
        case .joinedWithPages: self = .joined(try Joined(hasPages: true, from: &reader))
        case .register: self = .register(try reader.read())
        case .commitMove: self = .commitMove(try reader.read())
        case .allocate: self = .allocate(try reader.read())
        case .stats: self = .stats
        case .statistics:
            self = .statistics(try reader.readCounted(Statistic.limit, field: "figure count"))
        case .order: self = .order(try reader.read())
        case .made: self = .made(try reader.read())
        case .attached: self = .granted(try Grant(isMapped: false, hasWord: false, from: &reader))
        case .mapped: self = .granted(try Grant(isMapped: true, hasWord: false, from: &reader))
        case .attachedWithWord: self = .granted(try Grant(isMapped: false, hasWord: true, from: &reader))
        case .mappedWithWord: self = .granted(try Grant(isMapped: true, hasWord: true, from: &reader))
        case .inspected: self = .inspected(try reader.read())
        default:
            if opcode.isAnswer {
                self = .answer(try Answer(opcode, from: &reader))
            } else if opcode.isNotice {
                self = .notice(try Notice(opcode, from: &reader))
            } else {
                self = .request(try Request(opcode, from: &reader))
            }
        }
    }
}
