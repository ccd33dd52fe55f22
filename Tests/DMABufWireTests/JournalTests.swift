// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufWire
import TestSupport
import Testing

/// Rule: a journal that is torn anywhere reads back to the last good record.
@Suite("The journal")
struct JournalTests {
    static let seeds: [UInt64] = [1, 2, 0x7041]

    @Test("what was written is read back, and encodes to the same bytes", arguments: seeds)
    func roundTrip(seed: UInt64) {
        let (records, bytes, _) = Self.journal(seed, 2000)
        let reading = JournalReading(bytes)
        #expect(reading.records == records && reading.goodByteCount == bytes.count && !reading.isTorn)
        var writer = JournalWriter()
        for record in reading.records { writer.append(record) }
        #expect(writer.bytes == bytes)
    }

    @Test("every prefix reads back to its last whole record", arguments: seeds)
    func prefixes(seed: UInt64) {
        let (records, bytes, ends) = Self.journal(seed, 40)
        for length in 0...bytes.count {
            let whole = ends.count { $0 <= length }
            let reading = JournalReading(Array(bytes.prefix(length)))
            #expect(reading.records == Array(records.prefix(whole)))
            #expect(reading.goodByteCount == (whole == 0 ? 0 : ends[whole - 1]))
            #expect(reading.isTorn == bytes[reading.goodByteCount..<length].contains { $0 != 0 })
        }
    }

    @Test("zeros up to the end are room that is left; what begins with zeros and is none is torn", arguments: seeds)
    func room(seed: UInt64) {
        let (records, bytes, _) = Self.journal(seed, 40)
        for length in [1, 9, 10, 4096] {
            let zeros = [UInt8](repeating: 0, count: length)
            let reading = JournalReading(bytes + zeros)
            #expect(reading.records == records && reading.goodByteCount == bytes.count && !reading.isTorn)
            #expect(JournalReading(bytes + zeros + [1]).isTorn)
            #expect(JournalReading(bytes + zeros + bytes).records == records)
        }
        #expect(!JournalReading([UInt8](repeating: 0, count: 100)).isTorn)
    }

    @Test("a byte that is not what it was ends it before its record", arguments: seeds)
    func flips(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let (records, bytes, ends) = Self.journal(seed, 40)
        for index in bytes.indices {
            var other = bytes
            other[index] ^= .random(in: 1 ... .max, using: &random)
            let whole = ends.count { $0 <= index }
            let reading = JournalReading(other)
            #expect(reading.records == Array(records.prefix(whole)) && reading.isTorn, "byte \(index)")
        }
    }

    @Test("any bytes at all are read without a trap", arguments: seeds)
    func noise(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for _ in 0..<2000 {
            let bytes = random.bytes(0...200)
            #expect(JournalReading(bytes).goodByteCount <= bytes.count)
        }
    }

    @Test("the later record counts, and what has ended is gone", arguments: seeds)
    func contents(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let start = JournalStart(salt: Secret(high: 1, low: 2), firstNumber: 3)
        let client = DurableClient(id: ClientID(7), uid: 1000)
        let (first, second) = (random.durableBuffer(), random.durableBuffer())
        var changed = first
        changed.generation = Generation(9)
        let memories = Memories(.memfd, .bytes(4096))
        let hash = SecretHash(of: Secret(high: 3, low: 4), salt: start.salt)
        let contents = try #require(
            JournalContents([
                .start(start), .client(client, secret: hash), .buffer(first, memories, isOurs: false),
                .buffer(second, memories, isOurs: true), .buffer(changed, memories, isOurs: false),
                .bufferEnded(second.id),
            ]))
        #expect(contents.durable.buffers == [changed] && contents.durable.clients == [client])
        #expect(contents.clients[client.id]?.secret == hash)
        #expect(JournalContents([.client(client, secret: hash)]) == nil)
        #expect(SecretHash(of: Secret(high: 3, low: 4), salt: Secret(high: 9, low: 9)) != hash)
    }

    private static func journal(_ seed: UInt64, _ count: Int) -> ([JournalRecord], [UInt8], ends: [Int]) {
        var random = SplitMix64(seed: seed)
        let records = (0..<count).map { _ in random.journalRecord() }
        var writer = JournalWriter()
        var ends: [Int] = []
        for record in records {
            writer.append(record)
            ends.append(writer.bytes.count)
        }
        return (records, writer.bytes, ends)
    }
}

extension SplitMix64 {
    fileprivate mutating func journalRecord() -> JournalRecord {
        switch Int.random(in: 0..<9, using: &self) {
        case 0: .start(JournalStart(salt: Secret(high: number(), low: number()), firstNumber: number()))
        case 1:
            .client(
                DurableClient(id: ClientID(some()), uid: number()), secret: SecretHash(high: number(), low: number()))
        case 2: .token(durableToken())
        case 3: .attachment(durableAttachment())
        case 4: .clientEnded(ClientID(some()))
        case 5: .bufferEnded(BufferID(high: number(), low: number()))
        case 6: .tokenEnded(TokenID(high: number(), low: number()))
        case 7: .attachmentEnded(AttachmentID(some()))
        default: .buffer(durableBuffer(), Memories(flip() ? .dmaBuf : .memfd, description()), isOurs: flip())
        }
    }

    private mutating func flip() -> Bool { .random(using: &self) }
    private mutating func some() -> UInt64 { max(1, number()) }
    private mutating func instant() -> Instant? { flip() ? Instant(nanoseconds: number()) : nil }
    private mutating func token() -> TokenID { TokenID(high: number(), low: number()) }

    fileprivate mutating func durableBuffer() -> DurableBuffer {
        let backing = Backing(
            inode: number(), byteCount: number(), descriptorCount: number(), provesRelease: flip())
        return DurableBuffer(
            id: BufferID(high: number(), low: number()), uid: number(), owner: flip() ? ClientID(some()) : nil,
            kept: Kept.allCases.randomElement(using: &self)!, generation: Generation(some()), backing: backing,
            isWithdrawn: flip(), isSuspect: flip(),
            names: list(0...Wire.registryNamesLimit) { "n" + $0.text(Wire.registryNameLimit - 1) },
            shares: list(0...16) { Share(.user($0.number()), Rights(rawValue: $0.number())) })
    }

    private mutating func durableToken() -> DurableToken {
        DurableToken(
            id: token(), buffer: BufferID(high: number(), low: number()), maker: number(),
            rights: Rights(rawValue: number()), uses: flip() ? number() : nil, end: instant(),
            parent: flip() ? token() : nil)
    }

    private mutating func durableAttachment() -> DurableAttachment {
        DurableAttachment(
            id: AttachmentID(some()), buffer: BufferID(high: number(), low: number()), client: ClientID(some()),
            access: Access(rawValue: .random(in: 1...3, using: &self)),
            mobility: Mobility.allCases.randomElement(using: &self)!, rights: Rights(rawValue: number()),
            generation: Generation(some()), state: AttachmentState.allCases.randomElement(using: &self)!,
            isBarred: flip(), isCondemned: flip(), isSilent: flip(), isPinned: flip(), token: flip() ? token() : nil,
            end: instant())
    }
}

extension JournalWriter {
    fileprivate var bytes: [UInt8] { written.indices.map { written[$0] } }
}
