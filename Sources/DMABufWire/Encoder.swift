// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Envelope {
    /// As ``Message/encode(_:into:)``.
    public func encode(into room: inout [UInt8]) -> Int { message.encode(serial, into: &room) }

    public func encoded() -> [UInt8] {
        var room = Wire.roomForMessage
        let count = encode(into: &room)
        return Array(room[..<count])
    }
}

extension Message {
    /// Writes the message to the beginning of `room`, which is ``Wire/messageLimit`` bytes, and returns how many it has.
    ///
    /// Traps on a message that no decoder would take, such as a name that is too long: callers check those first.
    public func encode(_ serial: UInt64, into room: inout [UInt8]) -> Int {
        encode(serial, counted: descriptorCount, into: &room)
    }

    /// As above, for whoever has its descriptors; traps if it says another number of them.
    public func encode(_ serial: UInt64, passing count: Int, into room: inout [UInt8]) -> Int {
        precondition(count == descriptorCount, "\(count) descriptors do not match the message")
        return encode(serial, counted: count, into: &room)
    }

    private func encode(_ serial: UInt64, counted count: Int, into room: inout [UInt8]) -> Int {
        let opcode = opcode
        precondition(!opcode.isNotice || serial == 0, "a notice with a number")
        var writer = ByteWriter(message: opcode, count, serial, to: room.mutableSpan)
        write(to: &writer)
        return writer.finish()
    }

    private func write(to writer: inout ByteWriter) {
        switch self {
        case .hello(let hello): writer.write(hello)
        case .farewell(let farewell): writer.write(farewell)
        case .offer(let offer): writer.write(offer)
        case .accepted: break
        case .refused(let refusal): writer.write(refusal)
        case .join(let join): writer.write(join)
        case .joined(let joined): joined.write(to: &writer)
        case .register(let buffer): writer.write(buffer)
        case .commitMove(let next): writer.write(next)
        case .allocate(let allocation): writer.write(allocation)
        case .stats: break
        case .statistics(let figures): writer.write(counted: figures, limit: Statistic.limit)
        case .order(let order): writer.write(order)
        case .made(let memories): writer.write(memories)
        case .request(let request): request.write(to: &writer)
        case .granted(let grant): grant.write(to: &writer)
        case .inspected(let buffer): writer.write(buffer)
        case .answer(let answer): answer.write(to: &writer)
        case .notice(let notice): notice.write(to: &writer)
        }
    }
}

extension Offer {
    /// As ``Message/encode(_:passing:into:)`` writes ``Message/offer(_:)``; it is large, and need not become a message for that.
    public func encode(_ serial: UInt64, passing count: Int, into room: inout [UInt8]) -> Int {
        precondition(count == descriptorCount, "\(count) descriptors do not match the offer")
        var writer = ByteWriter(message: .offer, count, serial, to: room.mutableSpan)
        write(to: &writer)
        return writer.finish()
    }

    public var descriptorCount: Int { description.sizes.count + fences.count }
}

extension OfferAnswer {
    /// As ``Message/encode(_:into:)``. Every offer has an answer, and most are accepted.
    public func encode(into room: inout [UInt8]) -> Int {
        if let refusal { return Message.refused(refusal).encode(serial, into: &room) }
        var writer = ByteWriter(message: .accepted, 0, serial, to: room.mutableSpan)
        return writer.finish()
    }
}

extension ByteWriter {
    /// Begins with what all messages begin with.
    @inline(__always)
    @_lifetime(copy room)
    fileprivate init(
        message opcode: Opcode, _ descriptorCount: Int, _ serial: UInt64, to room: consuming MutableSpan<UInt8>
    ) {
        precondition(room.count == Wire.messageLimit, "room for \(room.count) bytes")
        self.init(room)
        write(opcode.rawValue)
        write(UInt16(descriptorCount))
        write(UInt32(0))  // size, at the end
        write(serial)
    }

    /// Says how long it has become.
    fileprivate mutating func finish() -> Int {
        patch(size: UInt32(count), at: 4)
        return count
    }
}
