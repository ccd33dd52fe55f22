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
        let opcode = opcode
        precondition(!opcode.isNotice || serial == 0, "a notice with a number")
        precondition(room.count == Wire.messageLimit, "room for \(room.count) bytes")
        var writer = ByteWriter(room.mutableSpan)
        writer.write(opcode.rawValue)
        writer.write(UInt16(descriptorCount))
        writer.write(UInt32(0))  // size, below
        writer.write(serial)
        write(to: &writer)
        writer.patch(size: UInt32(writer.count), at: 4)
        return writer.count
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
