// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Answer {
    /// Traps for those that the wire lays out otherwise, because they come with memories: ``Grant``, ``InspectedBuffer``.
    var opcode: Opcode {
        switch self {
        case .done: .done
        case .refused: .ruledOut
        case .registered: .registered
        case .found: .found
        case .accessEnded: .accessEnded
        case .moveBegun: .moveBegun
        case .revoked: .revoked
        case .fenceAdded: .fenceAdded
        case .snapshot: .snapshotTaken
        case .waited: .waited
        case .locked: .locked
        case .tokenWithdrawn: .tokenWithdrawn
        case .listed: .listed
        case .attached, .mapped, .inspected: preconditionFailure("an answer that has a message of its own")
        }
    }

    init(_ opcode: Opcode, from reader: inout ByteReader) throws(WireError) {
        switch opcode {
        case .done: self = .done
        case .ruledOut: self = .refused(try reader.read())
        case .registered:
            let buffer: BufferID = try reader.read()
            self = .registered(buffer, try reader.read())
        case .found:
            let buffer: BufferID = try reader.read()
            self = .found(buffer, try reader.read())
        case .accessEnded:
            self = .accessEnded(try reader.readCase(field: "state"))
            try reader.readReserved(7)
        case .moveBegun:
            let generation: Generation = try reader.read()
            self = .moveBegun(generation, until: try reader.read())
        case .revoked: self = .revoked(try reader.read())
        case .fenceAdded: self = .fenceAdded(try reader.read())
        case .snapshotTaken:
            let status: FenceStatus = try reader.read()
            self = .snapshot(status, try reader.readCounted(FenceID.listLimit, field: "fence count"))
        case .waited: self = .waited(try reader.read())
        case .locked:
            let number: LockNumber = try reader.read()
            self = .locked(number, until: try reader.read())
        case .tokenWithdrawn:
            let (tokens, attachments): (UInt32, UInt32) = (try reader.read(), try reader.read())
            self = .tokenWithdrawn(tokens: Int(tokens), attachments: Int(attachments))
        case .listed:
            let next = try reader.read(UInt32.self)
            let count = try reader.readCount(UInt16.self, 0...Wire.listingLimit, field: "buffer count")
            try reader.readReserved(2)
            self = .listed(try reader.readList(count), next: next)
        default: throw .unknownOpcode(opcode.rawValue)
        }
    }

    func write(to writer: inout ByteWriter) {
        switch self {
        case .done: break
        case .refused(let refusal): writer.write(refusal)
        case .registered(let buffer, let generation), .found(let buffer, let generation):
            writer.write(buffer)
            writer.write(generation)
        case .accessEnded(let state):
            writer.write(state.rawValue)
            writer.writeReserved(7)
        case .moveBegun(let generation, let until):
            writer.write(generation)
            writer.write(until)
        case .revoked(let level): writer.write(level)
        case .fenceAdded(let fence): writer.write(fence)
        case .snapshot(let status, let fences):
            writer.write(status)
            writer.write(counted: fences, limit: FenceID.listLimit)
        case .waited(let status): writer.write(status)
        case .locked(let number, let until):
            writer.write(number)
            writer.write(until)
        case .tokenWithdrawn(let tokens, let attachments):
            writer.write(UInt32(tokens))
            writer.write(UInt32(attachments))
        case .listed(let listings, let next):
            precondition(listings.count <= Wire.listingLimit, "a list of \(listings.count) buffers")
            writer.write(next)
            writer.write(UInt16(listings.count))
            writer.writeReserved(2)
            writer.write(listings)
        case .attached, .mapped, .inspected: preconditionFailure("an answer that has a message of its own")
        }
    }
}

extension FenceStatus: WireValue {
    private enum Kind: UInt8 {
        case pending = 0
        case ok = 1
        case error = 2
        case ownerDead = 3
    }

    /// The kernel's highest (`MAX_ERRNO`).
    private static let highestErrno: Int32 = 4095

    init(from reader: inout ByteReader) throws(WireError) {
        let kind: Kind = try reader.readCase(field: "status")
        try reader.readReserved(3)
        let code = try reader.read(UInt32.self)
        switch kind {
        case .error:
            guard code >= 1, code <= Self.highestErrno else { throw .invalidValue(field: "errno", value: UInt64(code)) }
            self = .error(Int32(code))
        case _ where code != 0: throw .reservedBits(field: "errno")
        case .pending: self = .pending
        case .ok: self = .ok
        case .ownerDead: self = .ownerDead
        }
    }

    func write(to writer: inout ByteWriter) {
        let (kind, code): (Kind, Int32) =
            switch self {
            case .pending: (.pending, 0)
            case .ok: (.ok, 0)
            // Whoever reported a number that is none still meant an error.
            case .error(let code): (.error, min(max(code, 1), Self.highestErrno))
            case .ownerDead: (.ownerDead, 0)
            }
        writer.write(kind.rawValue)
        writer.writeReserved(3)
        writer.write(UInt32(code))
    }
}

extension FenceSummary: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let status: FenceStatus = try reader.read()
        let pending = Int(try reader.read(UInt32.self))
        try reader.readReserved(4)
        self.init(status: status, pending: pending)
    }

    func write(to writer: inout ByteWriter) {
        writer.write(status)
        writer.write(UInt32(pending))
        writer.writeReserved(4)
    }
}

extension RevokeLevel: WireValue {
    private enum Kind: UInt8 {
        case enforced = 1
        case cooperative = 2
        case unconfirmed = 3
    }

    init(from reader: inout ByteReader) throws(WireError) {
        let kind: Kind = try reader.readCase(field: "level")
        try reader.readReserved(7)
        switch kind {
        case .enforced: self = .enforced
        case .cooperative: self = .cooperative
        case .unconfirmed: self = .unconfirmed(try reader.readHolders())
        }
    }

    func write(to writer: inout ByteWriter) {
        let kind: Kind =
            switch self {
            case .enforced: .enforced
            case .cooperative: .cooperative
            case .unconfirmed: .unconfirmed
            }
        writer.write(kind.rawValue)
        writer.writeReserved(7)
        if case .unconfirmed(let holders) = self { writer.write(holders: holders) }
    }
}

extension Holder: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let attachment: AttachmentID = try reader.read()
        self.init(attachment, try reader.readOptional())
    }

    func write(to writer: inout ByteWriter) {
        writer.write(attachment)
        writer.write(optional: client)
    }
}

// Lists of 16-byte or 8-byte elements behind a count that is padded to 8 bytes.

extension ByteReader {
    mutating func readCounted<Element: WireValue>(_ limit: Int, field: String) throws(WireError) -> [Element] {
        let count = try readCount(UInt16.self, 0...limit, field: field)
        try readReserved(6)
        return try readList(count)
    }

    mutating func readHolders() throws(WireError) -> [Holder] {
        try readCounted(Holder.listLimit, field: "holder count")
    }
}

extension ByteWriter {
    mutating func write(counted values: [some WireValue], limit: Int) {
        precondition(values.count <= limit, "a list of \(values.count)")
        write(UInt16(values.count))
        writeReserved(6)
        write(values)
    }

    mutating func write(holders: [Holder]) { write(counted: holders, limit: Holder.listLimit) }
}
