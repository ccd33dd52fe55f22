// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufWire
import Testing

@Suite("Annotated messages in fixtures/wire")
struct FixtureTests {
    @Test(
        "every well-formed fixture says what it should and is written back byte for byte", arguments: try Fixture.all())
    func wellFormed(_ fixture: Fixture) throws {
        let expected = try #require(Expected.envelopes[fixture.name], "no expectation for \(fixture.name)")
        let envelope = try Envelope(decoding: fixture.bytes.span, descriptorCount: fixture.descriptorCount)
        #expect(envelope == expected)
        #expect(envelope.encoded() == fixture.bytes)
        #expect(expected.encoded() == fixture.bytes)
        #expect(envelope.message.descriptorCount == fixture.descriptorCount)
    }

    @Test("every expectation has its fixture")
    func complete() throws {
        #expect(try Set(Fixture.all().map(\.name)) == Set(Expected.envelopes.keys))
    }

    @Test("every malformed fixture gives the error that it names", arguments: try Fixture.all(in: "malformed"))
    func malformed(_ fixture: Fixture) throws {
        let expected = try #require(fixture.expectedError, "no expected error in \(fixture.name)")
        guard case .failure(let error) = decoding(fixture.bytes, descriptors: fixture.descriptorCount) else {
            Issue.record("\(fixture.name) was decoded")
            return
        }
        #expect(error.fixtureText == expected)
        #expect(!"\(error)".isEmpty)
    }

    @Test("the malformed fixtures have an example of every error but tooLong")
    func everyError() throws {
        let cases = try Fixture.all(in: "malformed").compactMap { $0.expectedError?.split(separator: " ").first }
        let all: Set<Substring> = [
            "tooShort", "sizeMismatch", "trailingBytes", "unknownOpcode", "descriptorCount", "descriptorsMissing",
            "magic", "version", "reservedBits", "invalidValue", "invalidText", "description",
        ]
        #expect(Set(cases) == all)
    }

    @Test("a message over the limit is too long, whatever it says")
    func tooLong() throws {
        var bytes = Envelope(serial: 2, .accepted).encoded()
        bytes += [UInt8](repeating: 0, count: Wire.messageLimit + 1 - bytes.count)
        #expect(
            decoding(bytes.withHonestSize, descriptors: 0)
                == .failure(.tooLong(limit: Wire.messageLimit, has: Wire.messageLimit + 1)))
        bytes.removeLast()
        #expect(
            decoding(bytes.withHonestSize, descriptors: 0)
                == .failure(.trailingBytes(Wire.messageLimit - Wire.headerSize)))
    }

    @Test("every line of every fixture says what its bytes mean")
    func annotated() throws {
        for fixture in try Fixture.all() + Fixture.all(in: "malformed") {
            #expect(fixture.annotatedLines == fixture.lines, "\(fixture.name)")
        }
    }

    @Test("the example in PROTOCOL.md is a conversation of this protocol")
    func protocolText() throws {
        let blocks = try Fixture.inProtocolText()
        let messages = try blocks.map { block in
            let envelope = try Envelope(decoding: block.bytes.span, descriptorCount: block.descriptorCount)
            #expect(envelope.encoded() == block.bytes, "\(block.name)")
            return envelope
        }
        try #require(messages.count == 4)
        #expect(messages[0] == Expected.envelopes["hello"])
        #expect(messages[1] == Expected.envelopes["offer-bytes"])
        #expect(messages[2] == Expected.envelopes["accepted"])
        #expect(messages[3] == Envelope(serial: 2, .refused(OfferRefusal(.unsealed, "not sealed."))))
    }
}
