// SPDX-License-Identifier: Apache-2.0

import DMABufWire
import Testing

/// Decodes; the type of the error says that nothing else can come out of it. Who expects an offer, or the answer to one, has to
/// find the same.
func decoding(_ bytes: [UInt8], descriptors count: Int) -> Result<Envelope, WireError> {
    let found = Result { () throws(WireError) in try Envelope(decoding: bytes.span, descriptorCount: count) }
    let offered = Result { () throws(WireError) in try OfferEnvelope(decoding: bytes.span, descriptorCount: count) }
    switch offered {
    case .success(let offered?):
        #expect(found == .success(Envelope(serial: offered.serial, .offer(offered.offer))))
    case .success(nil):
        if case .success(let envelope) = found { #expect(envelope.message.opcode != .offer) }
    case .failure(let error):
        #expect(found == .failure(error))
    }
    let answered = Result { () throws(WireError) in try OfferAnswer(decoding: bytes.span, descriptorCount: count) }
    expectSameAnswer(found, answered)
    return found
}

private func expectSameAnswer(_ found: Result<Envelope, WireError>, _ answered: Result<OfferAnswer?, WireError>) {
    switch answered {
    case .success(let answer?):
        let message = answer.refusal.map { Message.refused($0) } ?? .accepted
        #expect(found == .success(Envelope(serial: answer.serial, message)))
    case .success(nil):
        guard case .success(let envelope) = found else { return }
        #expect(![.accepted, .refused].contains(envelope.message.opcode))
    case .failure(let error):
        #expect(found == .failure(error))
    }
}

extension WireError {
    /// As malformed fixtures state it: the case's name, then the field or the count where that tells more.
    var fixtureText: String {
        switch self {
        case .tooShort: "tooShort"
        case .tooLong: "tooLong"
        case .sizeMismatch: "sizeMismatch"
        case .trailingBytes(let count): "trailingBytes \(count)"
        case .unknownOpcode: "unknownOpcode"
        case .descriptorCount: "descriptorCount"
        case .descriptorsMissing: "descriptorsMissing"
        case .magic: "magic"
        case .version: "version"
        case .reservedBits(let field): "reservedBits \(field)"
        case .invalidValue(let field, _): "invalidValue \(field)"
        case .invalidText(let field): "invalidText \(field)"
        case .description: "description"
        }
    }
}

extension [UInt8] {
    /// With the size in the header set to what is there, so that a decoder gets past it.
    var withHonestSize: [UInt8] {
        guard count >= 8 else { return self }
        var bytes = self
        for index in 0..<4 { bytes[4 + index] = UInt8(truncatingIfNeeded: count >> (8 * index)) }
        return bytes
    }
}
