// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufWire
import Testing

@Suite("Limits of messages")
struct LimitTests {
    @Test("the largest offer has 472 bytes, and is taken")
    func largestOffer() throws {
        let layout = ImageLayout(
            width: .max, height: .max, fourcc: .max, modifier: Modifier(rawValue: .max),
            planes: Array(repeating: .init(memory: Int(UInt32.max), offset: .max, stride: .max), count: 4))
        let offer = Offer(
            description: BufferDescription(sizes: Array(repeating: .max, count: 4), content: .image(layout)),
            backing: .memfd, access: .readWrite, name: String(repeating: "n", count: Wire.nameLimit),
            checksum: Checksum(value: .max),
            fences: Array(repeating: OfferedFence(kind: .pidfd, usage: .bookkeep, within: .max), count: Wire.fenceLimit)
        )
        let envelope = Envelope(serial: .max, .offer(offer))
        let bytes = envelope.encoded()
        #expect(bytes.count == 472)
        #expect(decoding(bytes, descriptors: 20) == .success(envelope))
    }

    @Test("a checksum of zero is not the same as none")
    func zeroChecksum() throws {
        var offer = Offer(description: .bytes(1), backing: .dmaBuf, access: .read)
        let without = Envelope(serial: 1, .offer(offer)).encoded()
        offer.checksum = Checksum(value: 0)
        let with = Envelope(serial: 1, .offer(offer)).encoded()
        #expect(with != without)
        guard case .success(let envelope) = decoding(with, descriptors: 1), case .offer(let decoded) = envelope.message
        else {
            Issue.record("not decoded")
            return
        }
        #expect(decoded.checksum == Checksum(value: 0))
    }

    @Test("text without control characters passes, at its limit too", arguments: ["", "~", "\u{a0}", "\u{2010}", "🎞"])
    func cleanText(_ text: String) throws {
        let long = text + String(repeating: "x", count: Wire.reasonLimit - text.utf8.count)
        for text in [text, long] {
            let envelope = Envelope(serial: 1, .refused(OfferRefusal(.unwanted, text)))
            #expect(decoding(envelope.encoded(), descriptors: 0) == .success(envelope))
        }
    }

    @Test("no control character, separator or turning mark passes")
    func controlCharacters() throws {
        let values = [0x00...0x1f, 0x7f...0x9f, 0x61c...0x61c, 0x200e...0x200f, 0x2028...0x202e, 0x2066...0x2069]
            .flatMap { Array($0) }
        for value in values {
            let text = String(Unicode.Scalar(UInt32(value))!)
            #expect(!Wire.isClean(text))
            // The encoder would trap, so the text takes the place of another of its length.
            let stand = String(repeating: "x", count: text.utf8.count)
            var bytes = Envelope(serial: 1, .farewell(Farewell(.done, "a\(stand)b"))).encoded()
            bytes.replaceSubrange(bytes.count - 1 - text.utf8.count..<bytes.count - 1, with: text.utf8)
            #expect(decoding(bytes, descriptors: 0) == .failure(.invalidText(field: "text")))
        }
    }

    @Test("a reason is cut at its limit, in whole characters")
    func reasonIsCut() {
        let fits = String(repeating: "x", count: Wire.reasonLimit)
        #expect(Wire.reason(fits) == fits)
        #expect(Wire.reason(fits + "y") == fits)
        // Four bytes that do not fit, and a letter with its accent.
        #expect(Wire.reason(String(fits.dropLast(3)) + "🎞") == fits.dropLast(3))
        #expect(Wire.reason(String(fits.dropLast()) + "e\u{301}") == fits.dropLast())
        #expect(Wire.reason("") == "")
    }

    @Test("two spellings of one letter stay apart")
    func noNormalization() throws {
        for spelling in ["caf\u{e9}", "cafe\u{301}"] {
            let bytes = Envelope(serial: 1, .farewell(Farewell(.done, spelling))).encoded()
            #expect(try decoding(bytes, descriptors: 0).get().encoded() == bytes)
        }
    }

    @Test("a name that is too long is the caller's mistake and traps")
    func nameTraps() async {
        await #expect(processExitsWith: .failure) {
            let name = String(repeating: "n", count: Wire.nameLimit + 1)
            _ = Envelope(serial: 1, .offer(Offer(description: .bytes(1), backing: .dmaBuf, access: .read, name: name)))
                .encoded()
        }
    }

    @Test("a reason that is too long traps")
    func reasonTraps() async {
        await #expect(processExitsWith: .failure) {
            let text = String(repeating: "n", count: Wire.reasonLimit + 1)
            _ = Envelope(serial: 1, .farewell(Farewell(.done, text))).encoded()
        }
    }

    @Test("too many fences trap")
    func fencesTrap() async {
        await #expect(processExitsWith: .failure) {
            let fence = OfferedFence(kind: .eventfd, usage: .write, within: 1)
            let fences = Array(repeating: fence, count: Wire.fenceLimit + 1)
            _ = Envelope(
                serial: 1, .offer(Offer(description: .bytes(1), backing: .dmaBuf, access: .read, fences: fences))
            ).encoded()
        }
    }
}
