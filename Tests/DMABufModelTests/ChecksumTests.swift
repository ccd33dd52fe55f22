// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

@Suite("Checksum and pattern")
struct ChecksumTests {
    @Test(
        "published vectors of FNV-1a with 64 bits",
        arguments: [
            ("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8),
        ] as [(String, UInt64)])
    func vectors(_ text: String, _ expected: UInt64) {
        #expect(Checksum.of(Array(text.utf8)).value == expected)
        var oneByOne = Checksum()
        for byte in text.utf8 { oneByOne.add(byte) }
        #expect(oneByOne.value == expected)
    }

    @Test("parts add up to the whole, wherever it is cut")
    func parts() {
        let bytes = (0..<300).map { Pattern.byte(at: $0) }
        for cut in 0...bytes.count {
            var checksum = Checksum.of(Array(bytes[..<cut]))
            let rest = Array(bytes[cut...])
            unsafe checksum.add(rest.span.bytes)
            #expect(checksum == Checksum.of(bytes))
        }
    }

    @Test("its text has sixteen digits, zeros in front too")
    func text() {
        #expect(Checksum().description == "cbf29ce484222325")
        #expect(Checksum(value: 0x1f).description == "000000000000001f")
        #expect(Checksum(value: .max).description == "ffffffffffffffff")
    }

    @Test("the order of bytes matters")
    func order() {
        #expect(Checksum.of([1, 2]) != Checksum.of([2, 1]))
        #expect(Checksum.of([0]) != Checksum.of([]))
    }

    @Test("the pattern is (i * 31 + 7) mod 256")
    func pattern() {
        #expect((0..<9).map { Pattern.byte(at: $0) } == [7, 38, 69, 100, 131, 162, 193, 224, 255])
        #expect(Pattern.byte(at: 256) == 7)
        #expect(Pattern.byte(at: .max) == UInt8(truncatingIfNeeded: -31 + 7))
        #expect(Set((0..<256).map { Pattern.byte(at: $0) }).count == 256)
    }

    @Test("filling writes the pattern from the first byte to the last")
    func fill() {
        for count in [0, 1, 255, 256, 4099] {
            var bytes = [UInt8](repeating: 0xee, count: count)
            var span = bytes.mutableSpan
            var raw = unsafe span.mutableBytes
            Pattern.fill(&raw)
            #expect(bytes == (0..<count).map { UInt8(truncatingIfNeeded: $0 * 31 + 7) })
            #expect(Checksum.of(bytes) == Pattern.checksum(byteCount: count))
        }
        // The value in PROTOCOL.md.
        #expect(Pattern.checksum(byteCount: 4096).value == 0xc433_09b9_9f62_6325)
    }
}

extension Checksum {
    fileprivate static func of(_ bytes: [UInt8]) -> Checksum {
        var checksum = Checksum()
        unsafe checksum.add(bytes.span.bytes)
        return checksum
    }
}
