// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// One line of a registry's journal: something durable as it is now, or that it has ended. A later record of the same thing
/// takes the earlier one's place.
///
/// The journal is the registry's own: its layout may change with every version, which its first record tells.
public enum JournalRecord: Equatable, Sendable {
    /// The first of each journal.
    case start(JournalStart)
    case client(DurableClient, secret: SecretHash)
    case buffer(DurableBuffer, Memories, isOurs: Bool)
    case token(DurableToken)
    case attachment(DurableAttachment)
    case clientEnded(ClientID)
    case bufferEnded(BufferID)
    case tokenEnded(TokenID)
    case attachmentEnded(AttachmentID)
}

public struct JournalStart: Equatable, Sendable {
    /// What secrets are hashed with, so that a hash from elsewhere means nothing here.
    public var salt: Secret
    /// All numbers that were given are below this one, or were given by the run that has written this journal.
    public var firstNumber: UInt64

    public init(salt: Secret, firstNumber: UInt64) {
        self.salt = salt
        self.firstNumber = firstNumber
    }
}

/// What is remembered of a secret: enough to recognise it.
public struct SecretHash: Hashable, Sendable {
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public init(of secret: Secret, salt: Secret) {
        let words = [salt.high, salt.low, secret.high, secret.low]
        let bytes = words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) } }
        (high, low) = SHA256.half(of: bytes)
    }
}

/// What a record is.
enum JournalKind: UInt16 {
    case start = 1
    case client = 2
    case buffer = 3
    case token = 4
    case attachment = 5
    case clientEnded = 0x102
    case bufferEnded = 0x103
    case tokenEnded = 0x104
    case attachmentEnded = 0x105
}

extension JournalRecord {
    var kind: JournalKind {
        switch self {
        case .start: .start
        case .client: .client
        case .buffer: .buffer
        case .token: .token
        case .attachment: .attachment
        case .clientEnded: .clientEnded
        case .bufferEnded: .bufferEnded
        case .tokenEnded: .tokenEnded
        case .attachmentEnded: .attachmentEnded
        }
    }

    init(_ kind: JournalKind, from reader: inout ByteReader) throws(WireError) {
        switch kind {
        case .start: self = .start(try reader.read())
        case .client: self = .client(try reader.read(), secret: try reader.read())
        case .buffer:
            let (buffer, isOurs): (DurableBuffer, Bool) = (try reader.read(), try reader.readTruth())
            self = .buffer(buffer, try reader.read(), isOurs: isOurs)
        case .token: self = .token(try reader.read())
        case .attachment: self = .attachment(try reader.read())
        case .clientEnded: self = .clientEnded(try reader.read())
        case .bufferEnded: self = .bufferEnded(try reader.read())
        case .tokenEnded: self = .tokenEnded(try reader.read())
        case .attachmentEnded: self = .attachmentEnded(try reader.read())
        }
    }

    func write(to writer: inout ByteWriter) {
        switch self {
        case .start(let start): writer.write(start)
        case .client(let client, let secret):
            writer.write(client)
            writer.write(secret)
        case .buffer(let buffer, let memories, let isOurs):
            writer.write(buffer)
            writer.write(truth: isOurs)
            writer.write(memories)
        case .token(let token): writer.write(token)
        case .attachment(let attachment): writer.write(attachment)
        case .clientEnded(let id): writer.write(id)
        case .bufferEnded(let id): writer.write(id)
        case .tokenEnded(let id): writer.write(id)
        case .attachmentEnded(let id): writer.write(id)
        }
    }
}
