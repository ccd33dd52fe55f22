// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// The whole protocol. One message is one datagram of a `SOCK_SEQPACKET` unix socket, with its descriptors in the same
/// datagram. `PROTOCOL.md` says the same in bytes; `fixtures/wire` has examples that the tests read.
public enum Message: Equatable, Sendable {
    /// The first message of each side.
    case hello(Hello)  // 0x0001
    /// The last message of a side that ends the connection, and why.
    case farewell(Farewell)  // 0x0002
    /// A buffer for the other side to hold.
    case offer(Offer)  // 0x0010, fds: memory, then fences
    /// The offer was checked and its descriptors are held.
    case accepted  // 0x8010
    /// The offer was not taken; its descriptors are closed.
    case refused(OfferRefusal)  // 0x8011
}

extension Message {
    enum Opcode: UInt16 {
        case hello = 0x0001
        case farewell = 0x0002
        case offer = 0x0010
        case accepted = 0x8010
        case refused = 0x8011
    }

    var opcode: Opcode {
        switch self {
        case .hello: .hello
        case .farewell: .farewell
        case .offer: .offer
        case .accepted: .accepted
        case .refused: .refused
        }
    }

    /// How many descriptors come with it: exactly these.
    public var descriptorCount: Int {
        if case .offer(let offer) = self { offer.description.sizes.count + offer.fences.count } else { 0 }
    }
}

/// What is true of every message.
public enum Wire {
    /// "DMBS" as bytes in this order.
    public static let magic: UInt32 = 0x5342_4d44
    public static let version: UInt16 = 1
    /// The longest message in bytes.
    public static let messageLimit = 16384
    public static let headerSize = 16
    /// Bytes of UTF-8 in a name, and in a reason.
    public static let nameLimit = 64
    public static let reasonLimit = 512
    public static let fenceLimit = 16
}

/// A message with the number that joins an answer to its request.
public struct Envelope: Equatable, Sendable {
    public var serial: UInt64
    public var message: Message

    public init(serial: UInt64, _ message: Message) {
        self.serial = serial
        self.message = message
    }
}

/// Its version is always this one: a hello of another is ``WireError/version(_:)``.
public struct Hello: Equatable, Sendable {
    public var features: Features

    public init(features: Features = []) {
        self.features = features
    }

    /// What a side can do beyond the base; what both have is in force. No bit is defined in version 1.
    public struct Features: OptionSet, Sendable {
        public let rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }
    }
}

public struct Farewell: Equatable, Sendable {
    public var reason: Reason
    /// For a person.
    public var text: String

    public init(_ reason: Reason, _ text: String) {
        self.reason = reason
        self.text = text
    }

    public enum Reason: UInt32, Sendable {
        case done = 0
        case malformed = 1
        case version = 2
        case descriptorsLost = 3
        case deadline = 4
        case unexpected = 5
    }
}

public struct Offer: Equatable, Sendable {
    public var description: BufferDescription
    public var backing: Backing
    /// What the receiver may do. A dma-buf's descriptor does not enforce it: see PROTOCOL.md.
    public var access: Access
    public var name: String
    /// Of all bytes of the described memory, in order, once the fences have ended.
    public var checksum: Checksum?
    public var fences: [OfferedFence]

    public init(
        description: BufferDescription, backing: Backing, access: Access, name: String = "",
        checksum: Checksum? = nil, fences: [OfferedFence] = []
    ) {
        self.description = description
        self.backing = backing
        self.access = access
        self.name = name
        self.checksum = checksum
        self.fences = fences
    }

    public enum Backing: UInt8, Sendable {
        case dmaBuf = 1
        /// The stand-in: a sealed memfd.
        case memfd = 2
    }
}

public struct OfferedFence: Equatable, Sendable {
    public var kind: Kind
    public var usage: Usage
    /// Nanoseconds from now by which it ends: submitted work with an end, never a hope.
    public var within: UInt64

    public init(kind: Kind, usage: Usage, within: UInt64) {
        self.kind = kind
        self.usage = usage
        self.within = within
    }

    public enum Kind: UInt8, Sendable {
        case syncFile = 1
        case eventfd = 2
        case pidfd = 3
    }
}

public struct OfferRefusal: Equatable, Sendable {
    public var reason: Reason
    public var text: String

    public init(_ reason: Reason, _ text: String) {
        self.reason = reason
        self.text = text
    }

    public enum Reason: UInt32, Sendable {
        /// A descriptor is not what the offer calls it.
        case wrongKind = 1
        /// The description does not fit the memory.
        case description = 2
        /// A memfd that may still shrink under the reader.
        case unsealed = 3
        /// The receiver wants no (more) buffers.
        case unwanted = 4
    }
}
