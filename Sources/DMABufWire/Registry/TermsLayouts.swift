// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension AttachTerms: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let token = try reader.readOptionalToken()
        let lease = try reader.readOptionalInterval()
        let access = try reader.readAccess()
        let mobility: Mobility = try reader.readCase(field: "mobility")
        try reader.readReserved(6)
        self.init(access, mobility, lease: lease, token: token)
    }

    func write(to writer: inout ByteWriter) {
        precondition(access.isValid, "an attachment for no access")
        writer.write(optional: token)
        writer.write(optional: lease)
        writer.write(access.rawValue)
        writer.write(mobility.rawValue)
        writer.writeReserved(6)
    }
}

extension MoveTerms: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let token = try reader.readOptionalToken()
        let within: Interval = try reader.read()
        let lock: LockNumber? = try reader.readOptional()
        let late: Late = try reader.readCase(field: "late")
        let copier: Copier = try reader.readCase(field: "copier")
        let length = try reader.readCount(UInt8.self, 0...Wire.nameLimit, field: "exporter length")
        try reader.readReserved(5)
        let placement = length == 0 ? nil : try reader.readText(length, field: "exporter")
        self.init(within: within, late: late, copier: copier, token: token, lock: lock, placement: placement)
    }

    func write(to writer: inout ByteWriter) {
        writer.write(optional: token)
        writer.write(within)
        writer.write(optional: lock)
        writer.write(late.rawValue)
        writer.write(copier.rawValue)
        precondition(placement != "" && (placement?.utf8.count ?? 0) <= Wire.nameLimit, "no exporter's name")
        writer.write(UInt8(placement?.utf8.count ?? 0))
        writer.writeReserved(5)
        writer.write(text: placement ?? "")
    }
}

extension RevokeTerms: WireValue {
    private static let finalFlag: UInt8 = 1
    private static let cutOffFlag: UInt8 = 2

    init(from reader: inout ByteReader) throws(WireError) {
        let token = try reader.readOptionalToken()
        let within: Interval = try reader.read()
        let attachment: AttachmentID? = try reader.readOptional()
        let flags = try reader.read(UInt8.self)
        guard flags <= Self.finalFlag | Self.cutOffFlag else { throw .reservedBits(field: "flags") }
        try reader.readReserved(7)
        self.init(
            attachment.map { .attachment($0) } ?? .everyone, within: within, isFinal: flags & Self.finalFlag != 0,
            cutsOff: flags & Self.cutOffFlag != 0, token: token)
    }

    func write(to writer: inout ByteWriter) {
        var attachment: AttachmentID?
        if case .attachment(let id) = target { attachment = id }
        writer.write(optional: token)
        writer.write(within)
        writer.write(optional: attachment)
        writer.write((isFinal ? Self.finalFlag : 0) | (cutsOff ? Self.cutOffFlag : 0))
        writer.writeReserved(7)
    }
}

extension FenceTerms: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let (point, within): (UInt64, Interval) = (try reader.read(), try reader.read())
        let timeline = try reader.read(UInt32.self)
        let usage: Usage = try reader.readCase(field: "usage")
        let kind: Kind = try reader.readCase(field: "fence kind")
        try reader.readReserved(2)
        self.init(timeline: timeline, point: point, usage: usage, kind: kind, within: within)
    }

    func write(to writer: inout ByteWriter) {
        writer.write(point)
        writer.write(within)
        writer.write(timeline)
        writer.write(usage.rawValue)
        writer.write(kind.rawValue)
        writer.writeReserved(2)
    }
}

extension TokenTerms: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let parent = try reader.readOptionalToken()
        let lasts = try reader.readOptionalInterval()
        let uses = try reader.read(UInt32.self)
        let rights = try reader.readRights()
        try reader.readReserved(3)
        self.init(rights, uses: uses == 0 ? nil : uses, lasts: lasts, parent: parent)
    }

    func write(to writer: inout ByteWriter) {
        precondition(uses != 0, "a token without a use")
        writer.write(optional: parent)
        writer.write(optional: lasts)
        writer.write(uses ?? 0)
        writer.write(rights.rawValue)
        writer.writeReserved(3)
    }
}

extension Share: WireValue {
    private enum Kind: UInt8 {
        case user = 1
        case group = 2
        case everyone = 3
    }

    init(from reader: inout ByteReader) throws(WireError) {
        let number = try reader.read(UInt32.self)
        let kind: Kind = try reader.readCase(field: "audience")
        let rights = try reader.readRights()
        try reader.readReserved(2)
        switch kind {
        case .user: self.init(.user(number), rights)
        case .group: self.init(.group(number), rights)
        case .everyone:
            guard number == 0 else { throw .reservedBits(field: "number of everyone") }
            self.init(.everyone, rights)
        }
    }

    func write(to writer: inout ByteWriter) {
        let (number, kind): (UInt32, Kind) =
            switch audience {
            case .user(let uid): (uid, .user)
            case .group(let gid): (gid, .group)
            case .everyone: (0, .everyone)
            }
        writer.write(number)
        writer.write(kind.rawValue)
        writer.write(rights.rawValue)
        writer.writeReserved(2)
    }
}

/// A fence that may be there, with its descriptor: a count of 0 or 1, and the fence behind it.
extension ByteReader {
    mutating func readFenceCount() throws(WireError) -> Int {
        let count = try readCount(UInt8.self, 0...1, field: "fence count")
        try readReserved(7)
        return count
    }
}

extension ByteWriter {
    mutating func write(fenceCount fence: FenceTerms?) {
        write(UInt8(fence == nil ? 0 : 1))
        writeReserved(7)
    }
}
