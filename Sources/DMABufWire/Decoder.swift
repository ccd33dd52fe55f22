// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Envelope {
    /// Reads one datagram, strictly: every byte has a meaning, and decoding then encoding gives the same bytes.
    ///
    /// `descriptorCount` is how many descriptors really came with it.
    public init(decoding bytes: Span<UInt8>, descriptorCount: Int) throws(WireError) {
        guard bytes.count <= Wire.messageLimit else { throw .tooLong(limit: Wire.messageLimit, has: bytes.count) }
        var reader = ByteReader(bytes)
        let opcode = try reader.read(UInt16.self)
        let statedDescriptors = Int(try reader.read(UInt16.self))
        let statedSize = Int(try reader.read(UInt32.self))
        let serial = try reader.read(UInt64.self)
        guard statedSize == bytes.count else { throw .sizeMismatch(stated: statedSize, has: bytes.count) }
        guard let opcode = Opcode(rawValue: opcode) else { throw .unknownOpcode(opcode) }
        let message = try Message(opcode, from: &reader)
        try reader.finish()
        guard statedDescriptors == message.descriptorCount else {
            throw .descriptorCount(stated: statedDescriptors, expected: message.descriptorCount)
        }
        guard statedDescriptors == descriptorCount else {
            throw .descriptorsMissing(stated: statedDescriptors, received: descriptorCount)
        }
        // Nobody answers a notice, so it has no number.
        if opcode.isNotice, serial != 0 { throw .reservedBits(field: "serial of a notice") }
        // Only now: a value that is made and then thrown away is a value that is copied.
        self.serial = serial
        self.message = message
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
