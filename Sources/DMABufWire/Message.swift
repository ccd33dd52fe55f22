// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// The whole protocol. One message is one datagram of a `SOCK_SEQPACKET` unix socket, with its descriptors in the same
/// datagram. `PROTOCOL.md` says the same in bytes; `fixtures/wire` has examples that the tests read.
public enum Message: Equatable, Sendable {
    // Of every connection.
    case hello(Hello)
    case farewell(Farewell)

    // Of two processes that pass buffers to each other.
    indirect case offer(Offer)
    case accepted
    /// Also the registry's answer to descriptors that are not what they are called.
    case refused(OfferRefusal)

    // To and from the registry.
    case join(Join)
    case joined(Joined)
    case register(NewBuffer)
    indirect case commitMove(NewGeneration)
    case allocate(Allocation)
    case stats
    case statistics([Statistic])
    /// Every other request, as the rules have it. Its tokens are secrets here, and hashes in the rules.
    case request(Request)
    case granted(Grant)
    indirect case inspected(InspectedBuffer)
    /// Every other answer, as the rules have it.
    case answer(Answer)
    case notice(Notice)

    // To and from the registry's own worker.
    indirect case order(WorkOrder)
    case made(Memories)
}

extension Message {
    /// How many descriptors come with it: exactly these.
    public var descriptorCount: Int {
        switch self {
        case .offer(let offer): offer.descriptorCount
        case .joined(let joined): joined.pages == nil ? 0 : 2
        case .register(let buffer): buffer.memories.description.sizes.count
        case .commitMove(let next): next.memories.description.sizes.count + (next.fence == nil ? 0 : 1)
        case .order(let order): order.source?.description.sizes.count ?? 0
        case .made(let memories): memories.description.sizes.count
        case .granted(let grant): grant.memories.description.sizes.count
        case .request(.addFence), .request(.acknowledge(_, _, ending: .some)): 1
        default: 0
        }
    }
}

/// A message with the number that joins an answer to its request.
public struct Envelope: Equatable, Sendable {
    public var serial: UInt64
    public var message: Message

    public init(serial: UInt64, _ message: consuming Message) {
        self.serial = serial
        self.message = message
    }
}

/// An offer with its number. An offer is large, and whoever expects one need not make a message of it.
public struct OfferEnvelope: Equatable, Sendable {
    public var serial: UInt64
    public var offer: Offer
}

/// What is answered to an offer, with the offer's number. A message is as large as the largest, and this comes with every offer.
public struct OfferAnswer: Equatable, Sendable {
    public var serial: UInt64
    /// nil: it is accepted.
    public var refusal: OfferRefusal?

    public init(serial: UInt64, refusal: OfferRefusal? = nil) {
        self.serial = serial
        self.refusal = refusal
    }
}
