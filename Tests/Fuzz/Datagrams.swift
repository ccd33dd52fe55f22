// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufWire

extension World {
    private static let requests = Opcode.allCases.filter { !$0.isAnswer && !$0.isNotice }
    private static let others = Opcode.allCases.filter { $0.isAnswer || $0.isNotice }

    /// The bytes as they are.
    mutating func datagram(_ input: inout Input) -> Message? {
        let descriptors = Int(input.byte())
        let length = Int(input.byte()) | Int(input.byte()) << 8
        bytes.removeAll(keepingCapacity: true)
        input.take(length, into: &bytes)
        do throws(WireError) {
            return try decodeInput(descriptors: descriptors)
        } catch {
            return nil
        }
    }

    /// A body with an honest header, so that the bodies' decoders are reached, and cut or filled to its length.
    mutating func message(_ input: inout Input) -> Message? {
        let choice = Int(input.byte())
        let opcode =
            choice < 200 ? Self.requests[choice % Self.requests.count] : Self.others[choice % Self.others.count]
        let length = Int(input.byte())
        bytes.removeAll(keepingCapacity: true)
        bytes.append(UInt8(opcode.rawValue & 0xff))
        bytes.append(UInt8(opcode.rawValue >> 8))
        bytes.append(contentsOf: [0, 0, 0, 0, 0, 0, opcode.isNotice ? 0 : 1, 0, 0, 0, 0, 0, 0, 0])
        input.take(length, into: &bytes)
        bytes.append(contentsOf: repeatElement(0, count: 128))
        var descriptors = 0
        // Too long by the filling; then perhaps of another number of descriptors.
        for _ in 0..<3 {
            setHeader(descriptors)
            do throws(WireError) {
                return try decodeInput(descriptors: descriptors)
            } catch {
                switch error {
                case .trailingBytes(let count): bytes.removeLast(count)
                case .descriptorCount(_, let expected): descriptors = expected
                default: return nil
                }
            }
        }
        fail("an honest header is not taken: \(bytes)")
    }

    private mutating func setHeader(_ descriptors: Int) {
        bytes[2] = UInt8(descriptors)
        bytes[4] = UInt8(bytes.count & 0xff)
        bytes[5] = UInt8(bytes.count >> 8)
    }

    /// What is decoded encodes to the same bytes.
    private mutating func decode(descriptors: Int) throws(WireError) -> Message {
        // Who expects an offer or its answer finds what everybody else does, and fails where they do.
        let offer = try OfferEnvelope(decoding: bytes.span, descriptorCount: descriptors)
        let answer = try OfferAnswer(decoding: bytes.span, descriptorCount: descriptors)
        let envelope = try Envelope(decoding: bytes.span, descriptorCount: descriptors)
        let isOffer = envelope.message.opcode == .offer
        let isAnswer = [.accepted, .refused].contains(envelope.message.opcode)
        guard isOffer == (offer != nil), isAnswer == (answer != nil) else { fail("\(bytes) is two things") }
        let encoded = room[..<envelope.encode(into: &room)]
        guard encoded == bytes[...] else { fail("\(bytes) is decoded as \(envelope) and encoded as \(encoded)") }
        return envelope.message
    }

    private mutating func decodeInput(descriptors: Int) throws(WireError) -> Message {
        let message = try decode(descriptors: descriptors)
        Reached.decode(message.opcode)
        return message
    }

    /// What the rules say encodes, and is decoded as what has the same bytes.
    mutating func send(_ envelope: Envelope) {
        Reached.send(envelope.message.opcode)
        onSend?(envelope)
        bytes = envelope.encoded()
        do throws(WireError) {
            _ = try decode(descriptors: envelope.message.descriptorCount)
        } catch {
            fail("\(envelope) is encoded as \(bytes), which is not decoded: \(error)")
        }
    }
}

extension World {
    /// What a client's message asks of the rules.
    mutating func take(_ message: Message, from place: Int, _ isRight: Bool) {
        switch message {
        case .register(let new): register(backing(new.memories), new.kept, new.name, from: place)
        case .allocate(let allocation):
            guard let description = description(of: allocation.request) else { return }
            let made = backing(byteCount: description.byteCount, descriptors: 1, proves: true)
            do throws(Refusal) {
                try registry.checkRoom(for: made.byteCount, by: clients[place])
                register(made, allocation.kept, allocation.name, from: place)
            } catch {
                send(Envelope(serial: 1, .answer(.refused(error))))
            }
        case .commitMove(let next):
            let backing = backing(next.memories)
            let id = likely(next.buffer)
            ask(
                .commitMove(id, likely(next.generation), backing, fence: next.fence.map(likely)),
                from: isRight ? movers[id] ?? place : place)
        case .request(let request):
            let request = likely(request)
            ask(request, from: isRight ? rightPlace(for: request) ?? place : place)
        case .offer(let offer): check(offer.description)
        case .order(let order): _ = description(of: order.request)
        default: break
        }
    }

    private mutating func register(_ backing: Backing, _ kept: Kept, _ name: String?, from place: Int) {
        registered += 1
        let id = likely(BufferID(high: 0, low: registered))
        ask(.register(id, Registration(backing: backing, kept: kept, name: name)), from: place)
    }

    /// What is made for a request that can be met holds water.
    private func description(of request: BufferRequest) -> BufferDescription? {
        guard request.isPossible else { return nil }
        let description = request.linearDescription()
        do throws(DescriptionError) {
            try description.check(realSizes: description.sizes)
        } catch {
            fail("\(request) makes \(description): \(error)")
        }
        return description
    }

    /// As the server makes it of what the kernel says; here of the description itself. Whether that holds water makes no
    /// difference to the rules.
    private mutating func backing(_ memories: Memories) -> Backing {
        let description = memories.description
        check(description)
        return backing(
            byteCount: description.byteCount, descriptors: description.sizes.count, proves: memories.kind == .dmaBuf)
    }

    /// Against memories of the sizes that it speaks of: it fits, or says why not.
    private func check(_ description: BufferDescription) {
        do throws(DescriptionError) {
            try description.check(realSizes: description.sizes)
        } catch {
            if "\(error)".isEmpty { fail("an error without a text: \(description)") }
        }
    }

    /// Of one page or two; now and then memory that was seen before.
    mutating func backing(byteCount: UInt64, descriptors: Int, proves: Bool) -> Backing {
        if byteCount & 2 == 0 { inode += 1 }
        return Backing(
            inode: inode, byteCount: byteCount == 0 ? 0 : 4096 * (1 + byteCount % 2),
            descriptorCount: UInt32(descriptors), provesRelease: proves)
    }
}
