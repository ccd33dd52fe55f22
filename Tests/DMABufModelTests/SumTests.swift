// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

@Suite("Hash and sum of a journal")
struct SumTests {
    @Test(
        "published vectors of SHA-256",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func hash(_ text: String, _ expected: String) {
        let digits = SHA256.digest(Array(text.utf8)).map { word in
            String(repeating: "0", count: word.leadingZeroBitCount / 4) + (word == 0 ? "" : String(word, radix: 16))
        }
        #expect(digits.joined() == expected)
    }

    @Test("a message of several blocks, and of every length around one")
    func blocks() {
        let words = SHA256.digest((0..<200).map { Pattern.byte(at: $0) })
        #expect(words.prefix(2) == [0x44ca_e522, 0x3d43_1cae])
        let all = Set((0...130).map { SHA256.digest([UInt8](repeating: 0, count: $0)) })
        #expect(all.count == 131)
    }

    @Test("the published vector of CRC-32, and every flipped bit is found")
    func sum() {
        let bytes = Array("123456789".utf8)
        #expect(CRC32.of(bytes.span) == 0xcbf4_3926)
        for bit in 0..<bytes.count * 8 {
            var other = bytes
            other[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(CRC32.of(other.span) != CRC32.of(bytes.span))
        }
    }

    /// Eight bytes at a time is an implementation; one bit at a time is the definition.
    @Test("CRC-32 of every length is what its definition says")
    func definition() {
        for count in 0...67 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 151 + count) }
            var state = UInt32.max
            for byte in bytes {
                state ^= UInt32(byte)
                for _ in 0..<8 { state = state & 1 == 0 ? state >> 1 : state >> 1 ^ 0xedb8_8320 }
            }
            #expect(CRC32.of(bytes.span) == ~state)
        }
    }
}
