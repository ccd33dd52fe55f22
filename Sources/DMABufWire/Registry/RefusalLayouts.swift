// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Which rule refused: the number on the wire.
private enum Code: UInt16 {
    case stale = 1
    case overflowUID = 2
    case numberTaken = 3
    case noSuchBuffer = 10
    case noSuchAttachment = 11
    case noSuchToken = 12
    case forbidden = 13
    case notTheOwner = 14
    case tokenTooWide = 15
    case nameTaken = 16
    case deniedByPolicy = 17
    case bufferEnded = 20
    case quarantined = 21
    case settling = 22
    case revoked = 30
    case dead = 31
    case notInAccess = 32
    case malformed = 33
    case pinned = 40
    case moving = 41
    case notMoving = 42
    case notTheMover = 43
    case notOwed = 44
    case twoInQuarantine = 45
    case wrongSize = 46
    case sameMemory = 47
    case beingRevoked = 50
    case notReserved = 60
    case noSlots = 61
    case notLater = 62
    case tooLong = 63
    case timedOut = 64
    case noSuchFence = 65
    case locked = 70
    case holdsLock = 71
    case lockEnded = 72
    case lockTimedOut = 73
    case overQuota = 80
    case tooMany = 81
    case overCeiling = 82
}

extension Refusal: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let code: Code = try reader.readCase(field: "rule")
        try reader.readReserved(6)
        switch code {
        case .stale: self = .stale(current: try reader.read())
        case .forbidden: self = .forbidden(missing: try reader.readPaddedRights())
        case .tokenTooWide: self = .tokenTooWide(try reader.readPaddedRights())
        case .quarantined: self = .quarantined(suspects: try reader.readHolders())
        case .pinned: self = .pinned(by: try reader.readHolders())
        case .moving: self = .moving(until: try reader.read())
        case .settling: self = .settling(until: try reader.read())
        case .notOwed: self = .notOwed(current: try reader.read())
        case .twoInQuarantine: self = .twoInQuarantine(suspects: try reader.readHolders())
        case .wrongSize: self = .wrongSize(expected: try reader.read())
        case .beingRevoked: self = .beingRevoked(until: try reader.read())
        case .noSlots: self = .noSlots(limit: try reader.readPadded())
        case .notLater: self = .notLater(than: try reader.read())
        case .tooLong: self = .tooLong(limit: try reader.read())
        case .timedOut: self = .timedOut(waitingFor: try reader.readCounted(FenceID.listLimit, field: "fence count"))
        case .locked: self = .locked(by: try reader.read())
        case .holdsLock: self = .holdsLock(try reader.read())
        case .lockTimedOut: self = .lockTimedOut(waitingFor: try reader.readOptional())
        case .overQuota: self = .overQuota(try reader.read())
        case .overCeiling: self = .overCeiling(try reader.read())
        case .deniedByPolicy: self = .deniedByPolicy(line: try reader.readPadded())
        case .tooMany:
            let bounded: Bounded = try reader.readCase(field: "bound")
            try reader.readReserved(3)
            self = .tooMany(bounded, limit: try reader.read())
        default: self = try Self.bare(code)
        }
    }

    /// Those that say all by their code.
    private static func bare(_ code: Code) throws(WireError) -> Refusal {
        switch code {
        case .overflowUID: .overflowUID
        case .numberTaken: .numberTaken
        case .noSuchBuffer: .noSuchBuffer
        case .noSuchAttachment: .noSuchAttachment
        case .noSuchToken: .noSuchToken
        case .notTheOwner: .notTheOwner
        case .nameTaken: .nameTaken
        case .bufferEnded: .bufferEnded
        case .revoked: .revoked
        case .dead: .dead
        case .notInAccess: .notInAccess
        case .malformed: .malformed
        case .notMoving: .notMoving
        case .notTheMover: .notTheMover
        case .sameMemory: .sameMemory
        case .notReserved: .notReserved
        case .noSuchFence: .noSuchFence
        case .lockEnded: .lockEnded
        default: throw .invalidValue(field: "rule", value: UInt64(code.rawValue))
        }
    }

    private var code: Code {
        switch self {
        case .stale: .stale
        case .overflowUID: .overflowUID
        case .numberTaken: .numberTaken
        case .noSuchBuffer: .noSuchBuffer
        case .noSuchAttachment: .noSuchAttachment
        case .noSuchToken: .noSuchToken
        case .forbidden: .forbidden
        case .notTheOwner: .notTheOwner
        case .tokenTooWide: .tokenTooWide
        case .nameTaken: .nameTaken
        case .deniedByPolicy: .deniedByPolicy
        case .bufferEnded: .bufferEnded
        case .quarantined: .quarantined
        case .settling: .settling
        case .revoked: .revoked
        case .dead: .dead
        case .notInAccess: .notInAccess
        case .malformed: .malformed
        case .pinned: .pinned
        case .moving: .moving
        case .notMoving: .notMoving
        case .notTheMover: .notTheMover
        case .notOwed: .notOwed
        case .twoInQuarantine: .twoInQuarantine
        case .wrongSize: .wrongSize
        case .sameMemory: .sameMemory
        case .beingRevoked: .beingRevoked
        case .notReserved: .notReserved
        case .noSuchFence: .noSuchFence
        case .noSlots: .noSlots
        case .notLater: .notLater
        case .tooLong: .tooLong
        case .timedOut: .timedOut
        case .locked: .locked
        case .holdsLock: .holdsLock
        case .lockEnded: .lockEnded
        case .lockTimedOut: .lockTimedOut
        case .overQuota: .overQuota
        case .tooMany: .tooMany
        case .overCeiling: .overCeiling
        }
    }

    func write(to writer: inout ByteWriter) {
        writer.write(code.rawValue)
        writer.writeReserved(6)
        switch self {
        case .stale(let generation), .notOwed(let generation): writer.write(generation)
        case .forbidden(let rights), .tokenTooWide(let rights):
            writer.write(rights.rawValue)
            writer.writeReserved(7)
        case .quarantined(let holders), .pinned(let holders), .twoInQuarantine(let holders):
            writer.write(holders: holders)
        case .moving(let until), .beingRevoked(let until), .settling(let until): writer.write(until)
        case .wrongSize(let size): writer.write(size)
        case .noSlots(let value), .deniedByPolicy(let value):
            writer.write(value)
            writer.writeReserved(4)
        case .notLater(let point): writer.write(point)
        case .tooLong(let limit): writer.write(limit)
        case .timedOut(let fences): writer.write(counted: fences, limit: FenceID.listLimit)
        case .locked(let number), .holdsLock(let number): writer.write(number)
        case .lockTimedOut(let number): writer.write(optional: number)
        case .overQuota(let excess): writer.write(excess)
        case .overCeiling(let excess): writer.write(excess)
        case .tooMany(let bounded, let limit):
            writer.write(bounded.rawValue)
            writer.writeReserved(3)
            writer.write(limit)
        default: break
        }
    }
}

extension QuotaExcess: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let resource: Resource = try reader.readCase(field: "resource")
        try reader.readReserved(3)
        let largest = try reader.read(UInt32.self)
        self.init(
            resource: resource, limit: try reader.read(), share: try reader.read(), remaining: try reader.read(),
            users: try reader.read(), largest: largest)
    }

    func write(to writer: inout ByteWriter) {
        writer.write(resource.rawValue)
        writer.writeReserved(3)
        writer.write(largest)
        writer.write(limit)
        writer.write(share)
        writer.write(remaining)
        writer.write(users)
    }
}

extension CeilingExcess: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let resource: Resource = try reader.readCase(field: "resource")
        try reader.readReserved(3)
        self.init(
            resource: resource, line: try reader.read(), limit: try reader.read(), share: try reader.read())
    }

    func write(to writer: inout ByteWriter) {
        writer.write(resource.rawValue)
        writer.writeReserved(3)
        writer.write(line)
        writer.write(limit)
        writer.write(share)
    }
}

extension ByteReader {
    fileprivate mutating func readPaddedRights() throws(WireError) -> Rights {
        let rights = try readRights()
        try readReserved(7)
        return rights
    }

    fileprivate mutating func readPadded() throws(WireError) -> UInt32 {
        let value = try read(UInt32.self)
        try readReserved(4)
        return value
    }
}
