// SPDX-License-Identifier: Apache-2.0

public import DMABufSystem
public import DMABufWire
import SystemPackage

/// One side of a connection: messages and the descriptors that came with each.
///
/// Rule: *A peer that breaks the protocol is not followed.* A malformed message, a lost descriptor, a missing hello: the
/// reason is said once in a farewell, everything that came is closed, and the connection is over. Conditions that a
/// peer may meet in good faith are messages of their own (`refused`) and end nothing.
public struct Connection: ~Copyable, Sendable {
    private let socket: UnixSocket
    private var outgoing = Wire.roomForMessage
    private var incoming = Wire.roomForMessage
    private var patience = ReceivePatience()
    private var nextSerial: UInt64 = 1
    private var leftBehind: [Envelope] = []
    private static let leftBehindLimit = 8192
    /// A peer that takes nothing more leaves as soon as it has answered what it has taken.
    private static let farewellPatience: Duration = .seconds(1)

    /// Takes over a connected socket; nothing is sent yet.
    public init(_ socket: consuming UnixSocket) {
        self.socket = socket
    }

    /// Says hello and hears the other side's, in either order: no side waits for the other before it speaks.
    public mutating func exchangeHello(
        _ features: Hello.Features = [], until deadline: Deadline
    ) throws(ConnectionError) -> Hello {
        try send(.hello(Hello(features: features)), until: deadline)
        let first = try receive(until: deadline)
        guard case .hello(let hello) = first.envelope.message else {
            throw end(.unexpected, .unexpected("a first message that is no hello"))
        }
        return hello
    }

    /// Sends a request of its own and returns its number.
    @discardableResult
    public mutating func send(_ message: Message, until deadline: Deadline) throws(ConnectionError) -> UInt64 {
        let serial = takeSerial()
        try send(message, numbered: serial, until: deadline)
        return serial
    }

    /// As above, with descriptors.
    public mutating func send(
        _ message: Message, with descriptors: borrowing DescriptorList, until deadline: Deadline
    ) throws(ConnectionError) -> UInt64 {
        let serial = takeSerial()
        try send(message, numbered: serial, with: descriptors, until: deadline)
        return serial
    }

    /// As above, an offer.
    public mutating func send(
        _ offer: Offer, with descriptors: borrowing DescriptorList, until deadline: Deadline
    ) throws(ConnectionError) -> UInt64 {
        let serial = takeSerial()
        let count = offer.encode(serial, passing: descriptors.count, into: &outgoing)
        try sendEncoded(count, with: descriptors, until: deadline)
        return serial
    }

    /// As above, an offer of one memory without a fence; the descriptor stays the caller's.
    public mutating func send(
        _ offer: Offer, with memory: borrowing Descriptor, until deadline: Deadline
    ) throws(ConnectionError) -> UInt64 {
        let serial = takeSerial()
        let count = offer.encode(serial, passing: 1, into: &outgoing)
        do throws(Errno) {
            try socket.send(outgoing.span.extracting(first: count), with: memory, until: deadline)
        } catch { throw whyNotSent(error, until: deadline) }
        return serial
    }

    private mutating func takeSerial() -> UInt64 {
        defer { nextSerial += 1 }
        return nextSerial
    }

    /// Answers a request under its number.
    public mutating func answer(
        _ request: UInt64, _ message: Message, until deadline: Deadline
    ) throws(ConnectionError) {
        try send(message, numbered: request, until: deadline)
    }

    /// As above, with descriptors.
    public mutating func answer(
        _ request: UInt64, _ message: Message, with descriptors: borrowing DescriptorList, until deadline: Deadline
    ) throws(ConnectionError) {
        try send(message, numbered: request, with: descriptors, until: deadline)
    }

    /// Answers an offer.
    public mutating func answer(_ answer: OfferAnswer, until deadline: Deadline) throws(ConnectionError) {
        try sendEncoded(answer.encode(into: &outgoing), until: deadline)
    }

    private mutating func send(
        _ message: Message, numbered serial: UInt64, until deadline: Deadline
    ) throws(ConnectionError) {
        try sendEncoded(message.encode(serial, passing: 0, into: &outgoing), until: deadline)
    }

    /// The first `count` bytes of what was encoded.
    private mutating func sendEncoded(_ count: Int, until deadline: Deadline) throws(ConnectionError) {
        do throws(Errno) {
            try socket.send(outgoing.span.extracting(first: count), until: deadline)
        } catch { throw whyNotSent(error, until: deadline) }
    }

    private mutating func send(
        _ message: Message, numbered serial: UInt64, with descriptors: borrowing DescriptorList,
        until deadline: Deadline
    ) throws(ConnectionError) {
        let count = message.encode(serial, passing: descriptors.count, into: &outgoing)
        try sendEncoded(count, with: descriptors, until: deadline)
    }

    private mutating func sendEncoded(
        _ count: Int, with descriptors: borrowing DescriptorList, until deadline: Deadline
    ) throws(ConnectionError) {
        do throws(Errno) {
            try socket.send(outgoing.span.extracting(first: count), with: descriptors, until: deadline)
        } catch { throw whyNotSent(error, until: deadline) }
    }

    private mutating func whyNotSent(_ error: Errno, until deadline: Deadline) -> ConnectionError {
        switch error {
        case .timedOut: .deadline
        // It may have more to say before it leaves, and why it does.
        case .brokenPipe, .connectionReset: lastWords(until: min(deadline, .after(Self.farewellPatience)))
        default: .system(error)
        }
    }

    /// The next message. Everything about it is checked before it is returned; a farewell is thrown.
    public mutating func receive(until deadline: Deadline) throws(ConnectionError) -> Incoming {
        let received = try receiveDatagram(until: deadline)
        let envelope = try decode(received)
        if case .farewell(let farewell) = envelope.message { throw .farewell(farewell) }
        return Incoming(envelope: envelope, descriptors: received.descriptors)
    }

    /// As above, from a peer that has nothing to say but offers: another message ends the connection.
    public mutating func receiveOffer(until deadline: Deadline) throws(ConnectionError) -> IncomingOffer {
        let received = try receiveDatagram(until: deadline)
        guard let envelope = try decode(received, OfferEnvelope.init(decoding:descriptorCount:)) else {
            throw whyNot(received, "a message that is no offer")
        }
        return IncomingOffer(envelope: envelope, descriptors: received.descriptors)
    }

    /// As above, from a peer that has nothing to say but whether it takes an offer: another message ends the connection.
    public mutating func receiveOfferAnswer(until deadline: Deadline) throws(ConnectionError) -> OfferAnswer {
        let received = try receiveDatagram(until: deadline)
        guard let answer = try decode(received, OfferAnswer.init(decoding:descriptorCount:)) else {
            throw whyNot(received, "a message that is no answer to an offer")
        }
        return answer
    }

    /// Why what came is not what was waited for: a farewell may come in place of everything.
    private mutating func whyNot(_ received: borrowing Received, _ what: String) -> ConnectionError {
        do throws(ConnectionError) {
            if case .farewell(let farewell) = try decode(received).message { return .farewell(farewell) }
        } catch { return error }
        return end(.unexpected, .unexpected(what))
    }

    /// Its bytes are in `incoming`.
    private mutating func receiveDatagram(until deadline: Deadline) throws(ConnectionError) -> Received {
        do throws(ReceiveError) {
            return try socket.receive(
                into: &incoming, descriptorsAtMost: Wire.descriptorLimit, until: deadline, &patience)
        } catch {
            switch error {
            case .closed: throw .closed
            case .system(.timedOut): throw .deadline
            // The kernel tells of the reset first and keeps what the peer said last behind it.
            case .system(.connectionReset): throw lastWords(until: .now())
            case .system(let errno): throw .system(errno)
            case .truncatedDescriptors: throw end(.descriptorsLost, .descriptorsLost)
            case .truncatedBytes:
                throw end(.malformed, .wire(.tooLong(limit: Wire.messageLimit, has: Wire.messageLimit + 1)))
            }
        }
    }

    private mutating func decode(_ received: borrowing Received) throws(ConnectionError) -> Envelope {
        try decode(received, Envelope.init(decoding:descriptorCount:))
    }

    /// What is malformed ends the connection.
    @inline(__always)
    private mutating func decode<Value>(
        _ received: borrowing Received, _ decoder: (Span<UInt8>, Int) throws(WireError) -> Value
    ) throws(ConnectionError) -> Value {
        do throws(WireError) {
            return try decoder(incoming.span.extracting(first: received.byteCount), received.descriptors.count)
        } catch { throw end(error) }
    }

    private mutating func end(_ error: WireError) -> ConnectionError {
        if case .version = error { return end(.version, .wire(error)) }
        return end(.malformed, .wire(error))
    }

    /// Ends the connection for `reason` and returns the error to throw.
    public mutating func end(_ reason: Farewell.Reason, _ error: ConnectionError) -> ConnectionError {
        let text = Wire.reason("\(error)".escapedForDisplay)
        let farewell = Envelope(serial: nextSerial, .farewell(Farewell(reason, text)))
        let count = farewell.encode(into: &outgoing)
        // Best effort, without waiting: a peer that does not read must not hold us.
        try? socket.send(outgoing.span.extracting(first: count), until: .now())
        socket.shutdown()
        return error
    }

    /// The socket, for whoever goes on with the connection in another way.
    public consuming func intoSocket() -> UnixSocket { socket }

    /// What came before the end and was not received. A message that brought descriptors is no part of it.
    public mutating func takeLeftBehind() -> [Envelope] {
        defer { leftBehind = [] }
        return leftBehind
    }

    /// Why a peer that takes nothing more has ended it, or is about to. What else it says is kept.
    private mutating func lastWords(until deadline: Deadline) -> ConnectionError {
        // A reset that has not been told yet would come first.
        var mayBeReset = true
        while leftBehind.count < Self.leftBehindLimit {
            do throws(ReceiveError) {
                let received = try socket.receive(
                    into: &incoming, descriptorsAtMost: Wire.descriptorLimit, until: deadline)
                let envelope = try? Envelope(
                    decoding: incoming.span.extracting(first: received.byteCount),
                    descriptorCount: received.descriptors.count)
                guard let envelope else { break }
                if case .farewell(let farewell) = envelope.message { return .farewell(farewell) }
                if received.descriptors.count == 0 { leftBehind.append(envelope) }
            } catch {
                guard error == .system(.connectionReset), mayBeReset else { break }
                mayBeReset = false
            }
        }
        return .closed
    }

    /// Lends the socket, to be waited for beside others: it is readable when there is something to receive.
    public borrowing func withDescriptor<Result, Failure: Error>(
        _ body: (borrowing Descriptor) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(socket.descriptor)
    }

    /// Who is at the other end, as the kernel recorded it.
    public var peer: UnixSocket.Peer {
        get throws(ConnectionError) {
            do throws(Errno) { return try socket.peer } catch { throw .system(error) }
        }
    }
}

/// A message with the descriptors that came with it: as many as the message says.
@frozen
public struct Incoming: ~Copyable, Sendable {
    public let envelope: Envelope
    public var descriptors: DescriptorList
}

/// An offer with the descriptors that came with it: as many as it says.
@frozen
public struct IncomingOffer: ~Copyable, Sendable {
    public let envelope: OfferEnvelope
    public var descriptors: DescriptorList
}
