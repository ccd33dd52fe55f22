// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Request {
    /// Traps for the two that the wire lays out otherwise: ``Message/register(_:)`` and ``Message/commitMove(_:)`` come
    /// with memories, of which the rules know what the kernel says.
    var opcode: Opcode {
        switch self {
        case .withdraw: .withdraw
        case .name: .name
        case .share: .share
        case .lookup: .lookup
        case .makeToken: .makeToken
        case .withdrawToken: .withdrawToken
        case .inspect: .inspect
        case .list: .list
        case .attach: .attach
        case .attachNamed: .attachNamed
        case .map: .map
        case .detach: .detach
        case .pin: .pin
        case .unpin: .unpin
        case .renew: .renew
        case .beginAccess: .beginAccess
        case .endAccess: .endAccess
        case .beginMove: .beginMove
        case .acknowledge: .acknowledge
        case .refuseMove: .refuseMove
        case .abortMove: .abortMove
        case .revoke: .revoke
        case .acknowledgeRevoke: .acknowledgeRevoke
        case .restore: .restore
        case .reserve: .reserve
        case .addFence: .addFence
        case .renewFence: .renewFence
        case .snapshot: .snapshot
        case .wait: .wait
        case .lock: .lock
        case .unlock: .unlock
        case .register, .commitMove: preconditionFailure("a request that has a message of its own")
        }
    }

    init(_ opcode: Opcode, from reader: inout ByteReader) throws(WireError) {
        switch opcode {
        case .withdraw: self = .withdraw(try reader.read())
        case .name:
            let buffer: BufferID = try reader.read()
            self = .name(buffer, try reader.readName())
        case .share:
            let buffer: BufferID = try reader.read()
            self = .share(buffer, try reader.read())
        case .lookup:
            let uid = try reader.readOptionalUID()
            self = .lookup(try reader.readName(), uid: uid)
        case .makeToken:
            let token = try reader.readToken()
            let buffer: BufferID = try reader.read()
            self = .makeToken(token, buffer, try reader.read())
        case .withdrawToken: self = .withdrawToken(try reader.readToken())
        case .inspect:
            let buffer: BufferID = try reader.read()
            self = .inspect(buffer, token: try reader.readOptionalToken())
        case .list: self = .list(from: try reader.read())
        case .beginMove:
            let (buffer, generation): (BufferID, Generation) = (try reader.read(), try reader.read())
            self = .beginMove(buffer, generation, try reader.read())
        case .abortMove:
            let buffer: BufferID = try reader.read()
            self = .abortMove(buffer, try reader.read())
        case .revoke:
            let buffer: BufferID = try reader.read()
            self = .revoke(buffer, try reader.read())
        case .lock: self = try Self.readLock(from: &reader)
        case .unlock: self = .unlock(try reader.read())
        default: self = try Self.readOfAttachment(opcode, from: &reader)
        }
    }

    private static func readLock(from reader: inout ByteReader) throws(WireError) -> Request {
        let (within, lasting): (Interval, Interval) = (try reader.read(), try reader.read())
        let count = try reader.readCount(UInt16.self, 0...Wire.lockLimit, field: "buffer count")
        try reader.readReserved(6)
        return .lock(try reader.readList(count), within: within, lasting: lasting)
    }

    private static func readOfAttachment(_ opcode: Opcode, from reader: inout ByteReader) throws(WireError) -> Request {
        switch opcode {
        case .attach:
            let buffer: BufferID = try reader.read()
            return .attach(buffer, try reader.read())
        case .attachNamed:
            let terms: AttachTerms = try reader.read()
            let uid = try reader.readOptionalUID()
            return .attachNamed(try reader.readName(), uid: uid, terms)
        default: break
        }
        let id: AttachmentID = try reader.read()
        switch opcode {
        case .map: return .map(id)
        case .detach: return .detach(id)
        case .pin: return .pin(id)
        case .unpin: return .unpin(id)
        case .renew: return .renew(id, lease: try reader.read())
        case .beginAccess:
            let generation: Generation = try reader.read()
            let access = try reader.readAccess()
            try reader.readReserved(7)
            return .beginAccess(id, generation, access)
        case .endAccess: return .endAccess(id)
        case .acknowledge:
            let generation: Generation = try reader.read()
            let fenceCount = try reader.readFenceCount()
            return .acknowledge(id, generation, ending: fenceCount == 0 ? nil : try reader.read())
        case .refuseMove: return .refuseMove(id, try reader.read())
        case .acknowledgeRevoke: return .acknowledgeRevoke(id)
        case .restore: return .restore(id)
        case .reserve:
            let slots = try reader.read(UInt32.self)
            try reader.readReserved(4)
            return .reserve(id, slots: slots)
        case .addFence:
            let lock: LockNumber? = try reader.readOptional()
            return .addFence(id, try reader.read(), lock: lock)
        case .renewFence:
            let within: Interval = try reader.read()
            let timeline: UInt32 = try reader.read()
            try reader.readReserved(4)
            return .renewFence(id, timeline: timeline, within: within)
        case .snapshot:
            let usage: Usage = try reader.readCase(field: "usage")
            try reader.readReserved(7)
            return .snapshot(id, usage)
        case .wait:
            let within: Interval = try reader.read()
            let usage: Usage = try reader.readCase(field: "usage")
            try reader.readReserved(7)
            return .wait(id, usage, within: within)
        // Only those above are left.
        default: throw .unknownOpcode(opcode.rawValue)
        }
    }

    func write(to writer: inout ByteWriter) {
        switch self {
        case .withdraw(let buffer): writer.write(buffer)
        case .name(let buffer, let name):
            writer.write(buffer)
            writer.write(name: name)
        case .share(let buffer, let share):
            writer.write(buffer)
            writer.write(share)
        case .lookup(let name, let uid):
            writer.write(optionalUID: uid)
            writer.write(name: name)
        case .makeToken(let token, let buffer, let terms):
            writer.write(optional: token)
            writer.write(buffer)
            writer.write(terms)
        case .withdrawToken(let token): writer.write(optional: token)
        case .inspect(let buffer, let token):
            writer.write(buffer)
            writer.write(optional: token)
        case .list(let cursor): writer.write(cursor)
        case .beginMove(let buffer, let generation, let terms):
            writer.write(buffer)
            writer.write(generation)
            writer.write(terms)
        case .abortMove(let buffer, let generation):
            writer.write(buffer)
            writer.write(generation)
        case .revoke(let buffer, let terms):
            writer.write(buffer)
            writer.write(terms)
        case .lock(let buffers, let within, let lasting):
            precondition(buffers.count <= Wire.lockLimit, "a lock of \(buffers.count) buffers")
            writer.write(within)
            writer.write(lasting)
            writer.write(UInt16(buffers.count))
            writer.writeReserved(6)
            writer.write(buffers)
        case .unlock(let number): writer.write(number)
        default: writeOfAttachment(to: &writer)
        }
    }

    private func writeOfAttachment(to writer: inout ByteWriter) {
        switch self {
        case .attach(let buffer, let terms):
            writer.write(buffer)
            writer.write(terms)
        case .attachNamed(let name, let uid, let terms):
            writer.write(terms)
            writer.write(optionalUID: uid)
            writer.write(name: name)
        case .map(let id), .detach(let id), .pin(let id), .unpin(let id), .endAccess(let id),
            .acknowledgeRevoke(let id),
            .restore(let id):
            writer.write(id)
        case .renew(let id, let lease):
            writer.write(id)
            writer.write(lease)
        case .beginAccess(let id, let generation, let access):
            precondition(access.isValid, "no access")
            writer.write(id)
            writer.write(generation)
            writer.write(access.rawValue)
            writer.writeReserved(7)
        case .acknowledge(let id, let generation, let fence):
            writer.write(id)
            writer.write(generation)
            writer.write(fenceCount: fence)
            if let fence { writer.write(fence) }
        case .refuseMove(let id, let generation):
            writer.write(id)
            writer.write(generation)
        case .reserve(let id, let slots):
            writer.write(id)
            writer.write(slots)
            writer.writeReserved(4)
        case .addFence(let id, let terms, let lock):
            writer.write(id)
            writer.write(optional: lock)
            writer.write(terms)
        case .renewFence(let id, let timeline, let within):
            writer.write(id)
            writer.write(within)
            writer.write(timeline)
            writer.writeReserved(4)
        case .snapshot(let id, let usage):
            writer.write(id)
            writer.write(usage.rawValue)
            writer.writeReserved(7)
        case .wait(let id, let usage, let within):
            writer.write(id)
            writer.write(within)
            writer.write(usage.rawValue)
            writer.writeReserved(7)
        default: preconditionFailure("a request that has a message of its own")
        }
    }
}
