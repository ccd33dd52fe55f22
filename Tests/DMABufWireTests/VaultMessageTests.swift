// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufWire
import TestSupport
import Testing

@Suite("What a registry and its vault say")
struct VaultMessageTests {
    private static let all: [VaultMessage] = [
        .adopt, .end, .stop, .memory(BufferID(high: 1, low: 2), Generation(3), count: 1),
        .memory(BufferID(high: .max, low: 0), Generation(.max), count: 4), .journal,
        .drop(BufferID(high: 1, low: 2), Generation(3)), .complete, .busy, .leave, .replace, .yield,
    ]

    private func decoded(_ bytes: [UInt8], _ count: Int) -> VaultMessage? {
        try? VaultMessage(decoding: bytes.span, descriptorCount: count)
    }

    @Test("each is read back, and has the same size", arguments: all)
    func roundTrip(message: VaultMessage) {
        let bytes = message.encoded
        #expect(bytes.count == VaultMessage.byteCount)
        #expect(decoded(bytes, message.descriptorCount) == message)
        #expect(decoded(bytes, message.descriptorCount + 1) == nil)
        #expect(decoded(bytes + [0], message.descriptorCount) == nil)
        for length in 0..<bytes.count { #expect(decoded(Array(bytes.prefix(length)), message.descriptorCount) == nil) }
    }

    @Test("whatever decodes encodes to the same bytes", arguments: [1, 2, 3] as [UInt64])
    func flips(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for _ in 0..<20000 {
            var bytes = Self.all.randomElement(using: &random)!.encoded
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = .random(in: .min ... .max, using: &random)
            }
            for count in 0...4 { if let message = decoded(bytes, count) { #expect(message.encoded == bytes) } }
        }
    }
}
