// SPDX-License-Identifier: Apache-2.0

/// What is wrong with a message. Any of these ends the connection: a peer that miscounts once cannot be followed.
public enum WireError: Error, Equatable, Sendable {
    case tooShort(needs: Int, has: Int)
    case tooLong(limit: Int, has: Int)
    /// The header's size is not the datagram's.
    case sizeMismatch(stated: Int, has: Int)
    case trailingBytes(Int)
    case unknownOpcode(UInt16)
    case descriptorCount(stated: Int, expected: Int)
    case descriptorsMissing(stated: Int, received: Int)
    case magic(UInt32)
    /// A hello of another version; what follows its version number is not looked at.
    case version(UInt16)
    case reservedBits(field: String)
    case invalidValue(field: String, value: UInt64)
    case invalidText(field: String)
    case description(String)
}

extension WireError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .tooShort(let needs, let has): "the message needs \(needs) bytes and has \(has)"
        case .tooLong(let limit, let has): "the message has \(has) bytes and may have \(limit)"
        case .sizeMismatch(let stated, let has): "the header says \(stated) bytes and the datagram has \(has)"
        case .trailingBytes(let count): "\(count) byte(s) follow the end of the message"
        case .unknownOpcode(let opcode): "opcode 0x\(String(opcode, radix: 16)) is not known"
        case .descriptorCount(let stated, let expected):
            "the header says \(stated) descriptor(s) and this message has \(expected)"
        case .descriptorsMissing(let stated, let received):
            "the header says \(stated) descriptor(s) and \(received) came"
        case .magic(let value): "the magic number is 0x\(String(value, radix: 16)): not this protocol"
        case .version(let version): "the peer speaks version \(version) and this is version \(Wire.version)"
        case .reservedBits(let field): "\(field) must be zero"
        case .invalidValue(let field, let value): "\(value) is no \(field)"
        case .invalidText(let field): "the \(field) is no clean UTF-8"
        case .description(let reason): reason
        }
    }
}
