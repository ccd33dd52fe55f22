// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufWire
import TestSupport
import Testing

/// Rule: *Every byte of a message has one meaning.* Whatever is decoded encodes to the same bytes; all else is a
/// typed error; nothing traps.
@Suite("Properties of the encoding")
struct PropertyTests {
    static let seeds: [UInt64] = [1, 2, 3, 0xdb5]

    @Test("decoding what was encoded gives the same message", arguments: seeds)
    func roundTrip(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        for _ in 0..<5000 {
            let envelope = random.envelope()
            let bytes = envelope.encoded()
            let decoded = decoding(bytes, descriptors: envelope.message.descriptorCount)
            try #require(decoded == .success(envelope), "seed \(seed): \(envelope)")
            // Strings compare by canonical equivalence, bytes do not.
            try #require(try decoded.get().encoded() == bytes)
        }
    }

    @Test("an offer and its answer that are no messages are written as they are", arguments: seeds)
    func offers(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var (room, offers, answers) = (Wire.roomForMessage, 0, 0)
        for _ in 0..<5000 {
            let envelope = random.envelope()
            let count: Int
            switch envelope.message {
            case .offer(let offer):
                count = offer.encode(envelope.serial, passing: offer.descriptorCount, into: &room)
                offers += 1
            case .accepted, .refused:
                var refusal: OfferRefusal?
                if case .refused(let why) = envelope.message { refusal = why }
                count = OfferAnswer(serial: envelope.serial, refusal: refusal).encode(into: &room)
                answers += 1
            default: continue
            }
            try #require(Array(room[..<count]) == envelope.encoded(), "seed \(seed): \(envelope)")
        }
        #expect(offers > 10 && answers > 20)
    }

    @Test("the random messages have every opcode")
    func everyOpcode() {
        var random = SplitMix64(seed: 1)
        var missing = Set(Opcode.allCases)
        for _ in 0..<20000 { missing.remove(random.envelope().message.opcode) }
        #expect(missing.isEmpty)
    }

    @Test("every truncation is a typed error, with the old size and with an honest one", arguments: seeds)
    func truncation(seed: UInt64) throws {
        for (bytes, count) in try Self.messages(seed, 60) {
            for length in 0..<bytes.count {
                let cut = Array(bytes.prefix(length))
                guard case .failure = decoding(cut, descriptors: count),
                    case .failure(.tooShort) = decoding(cut.withHonestSize, descriptors: count)
                else {
                    Issue.record("seed \(seed): \(length) of \(bytes)")
                    return
                }
            }
        }
    }

    @Test("every byte behind the end is a typed error", arguments: seeds)
    func extensionOfMessages(seed: UInt64) throws {
        for (bytes, count) in try Self.messages(seed, 60) {
            let longer = bytes + [0]
            #expect(
                decoding(longer, descriptors: count) == .failure(.sizeMismatch(stated: bytes.count, has: longer.count)))
            #expect(decoding(longer.withHonestSize, descriptors: count) == .failure(.trailingBytes(1)))
        }
    }

    @Test("every single bit flipped is a typed error or another message with exactly those bytes", arguments: seeds)
    func bitFlips(seed: UInt64) throws {
        for (bytes, count) in try Self.messages(seed, 40) {
            var flipped = bytes
            for position in 0..<bytes.count * 8 {
                flipped[position / 8] ^= 1 << UInt8(position % 8)
                if case .success(let envelope) = decoding(flipped, descriptors: count) {
                    try #require(envelope.encoded() == flipped, "seed \(seed), bit \(position) of \(bytes)")
                }
                flipped[position / 8] = bytes[position / 8]
            }
        }
    }

    @Test("another number of descriptors than stated is a typed error", arguments: seeds)
    func descriptors(seed: UInt64) throws {
        for (bytes, count) in try Self.messages(seed, 60) {
            for received in 0...21 where received != count {
                #expect(
                    decoding(bytes, descriptors: received)
                        == .failure(.descriptorsMissing(stated: count, received: received)))
            }
        }
    }

    @Test("garbage never traps, and what is decoded of it encodes to the same bytes", arguments: seeds)
    func garbage(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        for _ in 0..<20000 {
            var bytes = random.bytes(0...160)
            _ = decoding(bytes, descriptors: 0)
            // Past the header: a real opcode, an honest size, so that the bodies' decoders are reached.
            guard bytes.count >= 16 else { continue }
            let opcode = Opcode.allCases.randomElement(using: &random)!.rawValue
            bytes.replaceSubrange(0..<2, with: [UInt8(opcode & 0xff), UInt8(opcode >> 8)])
            try Self.expectSameBytes(bytes.withHonestSize, descriptors: Int(bytes[2]))
        }
    }

    @Test("a few bytes changed at random never trap", arguments: seeds)
    func mutations(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        for (bytes, count) in try Self.messages(seed, 3000) {
            var changed = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                changed[Int.random(in: 0..<changed.count, using: &random)] = .random(in: .min ... .max, using: &random)
            }
            try Self.expectSameBytes(changed, descriptors: count)
            try Self.expectSameBytes(changed.withHonestSize, descriptors: count)
        }
    }

    @Test("bytes that are used again keep nothing of the message before")
    func reuse() {
        var room = [UInt8](repeating: 0xff, count: Wire.messageLimit)
        for envelope in [Envelope(serial: 2, .accepted), Envelope(serial: 3, .hello(Hello()))] {
            let count = envelope.encode(into: &room)
            #expect(Array(room[..<count]) == envelope.encoded())
        }
    }

    private static func expectSameBytes(_ bytes: [UInt8], descriptors count: Int) throws {
        guard case .success(let envelope) = decoding(bytes, descriptors: count) else { return }
        try #require(envelope.encoded() == bytes, "\(bytes)")
    }

    /// `count` random messages, and once the well-formed fixtures, as bytes with their number of descriptors.
    private static func messages(_ seed: UInt64, _ count: Int) throws -> [([UInt8], Int)] {
        var random = SplitMix64(seed: seed)
        let fixtures = seed == seeds[0] ? try Fixture.all() : []
        return fixtures.map { ($0.bytes, $0.descriptorCount) }
            + (0..<count).map { _ in
                let envelope = random.envelope()
                return (envelope.encoded(), envelope.message.descriptorCount)
            }
    }
}
