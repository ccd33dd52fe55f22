// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// What a registry and its vault say to each other. Private to the two, which are always the same program.
///
/// One message is one datagram, and its descriptors come in it: magic "DMBV" (4 bytes), version (2), kind (2), descriptor
/// count (2), pad 6, buffer (16), generation (8); the last two are zeros where the kind has none. All little-endian, all
/// messages 40 bytes.
public enum VaultMessage: Equatable, Sendable {
    // To the vault.
    /// The first word of a registry: all that is held is told, and then ``complete``.
    case adopt
    /// Nothing here is wanted any more.
    case end
    /// The first word of who wants both to stop: first the registry, then the vault.
    case stop
    /// The first word of who wants to take the registry's place. Answered by ``complete`` once that has gone.
    case replace

    // Both ways: to be held, and what is held.
    /// The memories of one generation.
    case memory(BufferID, Generation, count: Int)
    case journal

    // To the vault.
    case drop(BufferID, Generation)

    // To the registry.
    case complete
    /// Another registry has it.
    case busy
    /// Somebody wants both to stop.
    case leave
    /// Another is about to take its place: it goes without a word, as if it had died.
    case yield
}

extension VaultMessage {
    public static let byteCount = 40
    private static let magic: UInt32 = 0x5642_4d44
    private static let version: UInt16 = 1

    private enum Kind: UInt16 {
        case adopt = 1
        case end, stop, memory, journal, drop, complete, busy, leave, replace, yield
    }

    /// How many descriptors come with it: exactly these.
    public var descriptorCount: Int {
        switch self {
        case .memory(_, _, let count): count
        case .journal: 1
        default: 0
        }
    }

    private var kind: Kind {
        switch self {
        case .adopt: .adopt
        case .end: .end
        case .stop: .stop
        case .memory: .memory
        case .journal: .journal
        case .drop: .drop
        case .complete: .complete
        case .busy: .busy
        case .leave: .leave
        case .replace: .replace
        case .yield: .yield
        }
    }

    public var encoded: [UInt8] {
        var room = [UInt8](repeating: 0, count: Self.byteCount)
        encode(into: &room)
        return room
    }

    /// Fills `room`, which is ``byteCount`` bytes.
    public func encode(into room: inout [UInt8]) {
        var writer = ByteWriter(room.mutableSpan)
        writer.write(Self.magic)
        writer.write(Self.version)
        writer.write(kind.rawValue)
        writer.write(UInt16(descriptorCount))
        writer.writeReserved(6)
        switch self {
        case .memory(let buffer, let generation, _), .drop(let buffer, let generation):
            writer.write(buffer)
            writer.write(generation)
        default: writer.writeReserved(24)
        }
    }

    /// Strictly: whatever decodes encodes to the same bytes. `descriptorCount` is how many really came.
    public init(decoding bytes: Span<UInt8>, descriptorCount: Int) throws(WireError) {
        var reader = ByteReader(bytes)
        let magic = try reader.read(UInt32.self)
        guard magic == Self.magic else { throw .magic(magic) }
        let version = try reader.read(UInt16.self)
        guard version == Self.version else { throw .version(version) }
        let kind: Kind = try reader.readCase(field: "kind")
        let stated = Int(try reader.read(UInt16.self))
        try reader.readReserved(6)
        let message = try Self.read(kind, stated, &reader)
        try reader.finish()
        guard stated == message.descriptorCount else {
            throw .descriptorCount(stated: stated, expected: message.descriptorCount)
        }
        guard stated == descriptorCount else { throw .descriptorsMissing(stated: stated, received: descriptorCount) }
        self = message
    }

    private static func read(_ kind: Kind, _ count: Int, _ reader: inout ByteReader) throws(WireError) -> Self {
        switch kind {
        case .memory:
            guard (1...BufferDescription.sizeLimit).contains(count) else {
                throw .invalidValue(field: "memory count", value: UInt64(count))
            }
            return .memory(try reader.read(), try reader.read(), count: count)
        case .drop: return .drop(try reader.read(), try reader.read())
        default: try reader.readReserved(24)
        }
        switch kind {
        case .adopt: return .adopt
        case .end: return .end
        case .stop: return .stop
        case .journal: return .journal
        case .complete: return .complete
        case .busy: return .busy
        case .replace: return .replace
        case .yield: return .yield
        default: return .leave
        }
    }
}
