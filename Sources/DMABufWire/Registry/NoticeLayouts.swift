// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Notice {
    var opcode: Opcode {
        switch self {
        case .invalidate: .invalidate
        case .moving: .moving
        case .moved: .moved
        case .moveAborted: .moveAborted
        case .readyToCopy: .readyToCopy
        case .moveEnded: .moveEnded
        case .revoke: .revoking
        case .revoked: .revokedNow
        case .restored: .restored
        case .attachmentEnded: .attachmentEnded
        case .ownerGone: .ownerGone
        case .withdrawn: .withdrawn
        case .quarantined: .quarantined
        case .released: .released
        case .fenceExpired: .fenceExpired
        case .lockEnded: .lockEnded
        }
    }

    init(_ opcode: Opcode, from reader: inout ByteReader) throws(WireError) {
        switch opcode {
        case .readyToCopy:
            let (buffer, generation): (BufferID, Generation) = (try reader.read(), try reader.read())
            let until: Instant = try reader.read()
            self = .readyToCopy(buffer, generation, try reader.read(), until: until)
        case .moveEnded:
            let buffer: BufferID = try reader.read()
            self = .moveEnded(buffer, try reader.read())
        case .quarantined:
            let buffer: BufferID = try reader.read()
            self = .quarantined(buffer, try reader.read())
        case .released:
            let (buffer, generation): (BufferID, Generation) = (try reader.read(), try reader.read())
            self = .released(buffer, generation, isVerified: try reader.readFlag())
        case .fenceExpired:
            let fence: FenceID = try reader.read()
            self = .fenceExpired(fence, try reader.read())
        case .lockEnded: self = .lockEnded(try reader.read())
        default:
            let (id, buffer): (AttachmentID, BufferID) = (try reader.read(), try reader.read())
            self = try Self.read(opcode, of: id, buffer, from: &reader)
        }
    }

    private static func read(
        _ opcode: Opcode, of id: AttachmentID, _ buffer: BufferID, from reader: inout ByteReader
    ) throws(WireError) -> Notice {
        switch opcode {
        case .invalidate:
            let generation: Generation = try reader.read()
            return .invalidate(id, buffer, generation, until: try reader.read())
        case .moving: return .moving(id, buffer, try reader.read())
        case .moved: return .moved(id, buffer, try reader.read())
        case .moveAborted: return .moveAborted(id, buffer, try reader.read())
        case .revoking:
            let until: Instant = try reader.read()
            return .revoke(id, buffer, isFinal: try reader.readFlag(), until: until)
        case .revokedNow:
            let state: AttachmentState = try reader.readCase(field: "state")
            guard state != .ok else { throw .invalidValue(field: "state", value: UInt64(state.rawValue)) }
            try reader.readReserved(7)
            return .revoked(id, buffer, state)
        case .restored: return .restored(id, buffer)
        case .attachmentEnded: return .attachmentEnded(id, buffer)
        case .ownerGone: return .ownerGone(id, buffer)
        case .withdrawn: return .withdrawn(id, buffer)
        default: throw .unknownOpcode(opcode.rawValue)
        }
    }

    func write(to writer: inout ByteWriter) {
        switch self {
        case .invalidate(let id, let buffer, let generation, let until):
            writer.write(id)
            writer.write(buffer)
            writer.write(generation)
            writer.write(until)
        case .moving(let id, let buffer, let generation), .moved(let id, let buffer, let generation),
            .moveAborted(let id, let buffer, let generation):
            writer.write(id)
            writer.write(buffer)
            writer.write(generation)
        case .readyToCopy(let buffer, let generation, let status, let until):
            writer.write(buffer)
            writer.write(generation)
            writer.write(until)
            writer.write(status)
        case .moveEnded(let buffer, let outcome):
            writer.write(buffer)
            writer.write(outcome)
        case .revoke(let id, let buffer, let isFinal, let until):
            writer.write(id)
            writer.write(buffer)
            writer.write(until)
            writer.write(flag: isFinal)
        case .revoked(let id, let buffer, let state):
            precondition(state != .ok, "revoked, and nothing happened")
            writer.write(id)
            writer.write(buffer)
            writer.write(state.rawValue)
            writer.writeReserved(7)
        case .restored(let id, let buffer), .attachmentEnded(let id, let buffer), .ownerGone(let id, let buffer),
            .withdrawn(let id, let buffer):
            writer.write(id)
            writer.write(buffer)
        case .quarantined(let buffer, let generation):
            writer.write(buffer)
            writer.write(generation)
        case .released(let buffer, let generation, let isVerified):
            writer.write(buffer)
            writer.write(generation)
            writer.write(flag: isVerified)
        case .fenceExpired(let fence, let buffer):
            writer.write(fence)
            writer.write(buffer)
        case .lockEnded(let number): writer.write(number)
        }
    }
}

extension MoveOutcome: WireValue {
    private enum Kind: UInt8 {
        case moved = 0
        case late = 1
        case refused = 2
        case asked = 3
        case copyFailed = 4
        case copyLate = 5
        case bufferEnded = 6
        case quarantined = 7
        case tokenEnded = 8
    }

    init(from reader: inout ByteReader) throws(WireError) {
        let kind: Kind = try reader.readCase(field: "outcome")
        try reader.readReserved(7)
        switch kind {
        case .moved:
            let generation: Generation = try reader.read()
            self = .moved(generation, cutOff: try reader.readHolders())
        case .late: self = .aborted(.late(try reader.readHolders()))
        case .refused: self = .aborted(.refused(by: try reader.read()))
        case .asked: self = .aborted(.asked)
        case .copyFailed: self = .aborted(.copyFailed)
        case .copyLate: self = .aborted(.copyLate)
        case .bufferEnded: self = .aborted(.bufferEnded)
        case .quarantined: self = .aborted(.quarantined)
        case .tokenEnded: self = .aborted(.tokenEnded)
        }
    }

    private var kind: Kind {
        switch self {
        case .moved: .moved
        case .aborted(.late): .late
        case .aborted(.refused): .refused
        case .aborted(.asked): .asked
        case .aborted(.copyFailed): .copyFailed
        case .aborted(.copyLate): .copyLate
        case .aborted(.bufferEnded): .bufferEnded
        case .aborted(.quarantined): .quarantined
        case .aborted(.tokenEnded): .tokenEnded
        }
    }

    func write(to writer: inout ByteWriter) {
        writer.write(kind.rawValue)
        writer.writeReserved(7)
        switch self {
        case .moved(let generation, let cutOff):
            writer.write(generation)
            writer.write(holders: cutOff)
        case .aborted(.late(let holders)): writer.write(holders: holders)
        case .aborted(.refused(let holder)): writer.write(holder)
        case .aborted: break
        }
    }
}

extension ByteReader {
    fileprivate mutating func readFlag() throws(WireError) -> Bool {
        let flag = try read(UInt8.self)
        guard flag <= 1 else { throw .reservedBits(field: "flags") }
        try readReserved(7)
        return flag == 1
    }
}

extension ByteWriter {
    fileprivate mutating func write(flag: Bool) {
        write(UInt8(flag ? 1 : 0))
        writeReserved(7)
    }
}
