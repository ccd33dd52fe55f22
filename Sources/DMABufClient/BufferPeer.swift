// SPDX-License-Identifier: Apache-2.0

public import DMABuf
import DMABufConnection
public import DMABufModel
public import DMABufSystem
import DMABufWire
import SystemPackage

/// Another process at the end of a socket, with no registry between: buffers are offered and taken.
public struct BufferPeer: ~Copyable, Sendable {
    private var connection: Connection

    /// Takes over a connected socket and greets. Throws `gone` or `failed` if the other side speaks something else.
    public init(_ socket: consuming UnixSocket, until deadline: Deadline) throws(DMABufError) {
        var connection = Connection(socket)
        do throws(ConnectionError) { _ = try connection.exchangeHello(until: deadline) } catch {
            throw DMABufError("greet the peer", error)
        }
        self.connection = connection
    }

    /// Who is at the other end, as the kernel recorded it.
    public var peer: UnixSocket.Peer {
        get throws(DMABufError) {
            do throws(ConnectionError) { return try connection.peer } catch {
                throw DMABufError("ask who the peer is", error)
            }
        }
    }

    /// Offers a buffer and waits until the other side holds it.
    ///
    /// The peer gets duplicates; the buffer and the fences stay the caller's. `checksum` is that of the content once the
    /// fences have ended. Throws `invalid` for a name with control characters or no access, `refused` with the peer's reason,
    /// `deadline` (the connection is over then) or `gone`.
    public mutating func offer(
        _ buffer: DescribedBuffer, for access: Access, named name: String = "", checksum: Checksum? = nil,
        fences: [PromisedFence] = [], until deadline: Deadline
    ) throws(DMABufError) {
        guard name.isEmpty || name.utf8.count <= Wire.nameLimit && Wire.isClean(name) else {
            throw DMABufError(
                .invalid, "a name that is passed has at most \(Wire.nameLimit) bytes and no control characters",
                remedy: "choose another name")
        }
        guard access.isValid else { throw DMABufError(.invalid, "an offer for no access: read, write or both") }
        guard fences.count <= Wire.fenceLimit else {
            throw DMABufError(.invalid, "\(fences.count) fences with one buffer; at most \(Wire.fenceLimit)")
        }
        let offer = Offer(
            description: buffer.description, backing: buffer.kind == .dmaBuf ? .dmaBuf : .memfd, access: access,
            name: name, checksum: checksum, fences: fences.map(\.onTheWire))
        let answer: OfferAnswer
        do throws(ConnectionError) {
            let serial = try send(offer, buffer.memory, fences, until: deadline)
            answer = try nextAnswer(until: deadline)
            guard answer.serial == serial else {
                throw connection.end(.unexpected, .unexpected("an answer to something else"))
            }
        } catch { throw DMABufError("offer a buffer", error) }
        if let refusal = answer.refusal {
            throw DMABufError(.refused, "the peer refused the buffer: \(refusal.text) (\(refusal.reason))")
        }
    }

    /// The descriptors outlive the call. Most offers have one, and need no list.
    private mutating func send(
        _ offer: Offer, _ memory: [DMABuffer], _ fences: [PromisedFence], until deadline: Deadline
    ) throws(ConnectionError) -> UInt64 {
        if memory.count == 1, fences.isEmpty {
            return try connection.send(offer, with: memory[0].descriptor, until: deadline)
        }
        var descriptors = DescriptorList(lending: memory)
        for promise in fences { descriptors.lend(promise.fence.descriptor) }
        return try connection.send(offer, with: descriptors, until: deadline)
    }

    /// An answer that comes too late would be taken for that to the next request, so the connection ends with the wait.
    private mutating func nextAnswer(until deadline: Deadline) throws(ConnectionError) -> OfferAnswer {
        do throws(ConnectionError) {
            return try connection.receiveOfferAnswer(until: deadline)
        } catch {
            throw error == .deadline ? connection.end(.deadline, .deadline) : error
        }
    }

    /// Takes the next buffer: its descriptors are identified, its description is checked against their real sizes, and
    /// the peer is told.
    ///
    /// `refuse` may turn down a good offer for a reason of the caller's, before the peer is told that it is held. Throws
    /// what was wrong after refusing the offer; the connection stands then, and the next offer may be good.
    /// `gone` when the peer has closed, `deadline` when nothing came.
    public mutating func nextOffer(
        until deadline: Deadline, unless refuse: (ReceivedOffer) -> DMABufError? = { _ in nil }
    ) throws(DMABufError) -> ReceivedOffer {
        let incoming: IncomingOffer
        do throws(ConnectionError) { incoming = try connection.receiveOffer(until: deadline) } catch {
            throw DMABufError("receive a buffer", error)
        }
        let serial = incoming.envelope.serial
        let received: ReceivedOffer
        do throws(ReceivedOffer.Problem) {
            received = try ReceivedOffer(incoming)
            if let error = refuse(received) { throw .init(error, .unwanted) }
        } catch {
            try answer(OfferAnswer(serial: serial, refusal: error.refusal), until: deadline)
            throw error.error
        }
        try answer(OfferAnswer(serial: serial), until: deadline)
        return received
    }

    private mutating func answer(_ answer: OfferAnswer, until deadline: Deadline) throws(DMABufError) {
        do throws(ConnectionError) { try connection.answer(answer, until: deadline) } catch {
            throw DMABufError("answer an offer", error)
        }
    }
}

/// A fence that goes with an offer.
public struct PromisedFence: Sendable {
    public let fence: Fence
    public let usage: Usage
    /// By when it ends, counted from now.
    public let within: Duration

    public init(_ fence: Fence, as usage: Usage, within: Duration = .seconds(2)) {
        self.fence = fence
        self.usage = usage
        self.within = within
    }

    var onTheWire: OfferedFence {
        let kind: OfferedFence.Kind =
            switch fence.kind {
            case .syncFile: .syncFile
            case .eventfd: .eventfd
            case .pidfd: .pidfd
            }
        return OfferedFence(kind: kind, usage: usage, within: within.clampedNanoseconds)
    }
}

extension DMABufError {
    init(_ operation: String, _ error: ConnectionError) {
        switch error {
        case .deadline: self.init(.deadline, "\(operation): \(error)", cause: .timedOut)
        case .closed, .farewell: self.init(.gone, "\(operation): \(error)")
        case .system(let cause): self = .system(operation, cause)
        case .descriptorsLost:
            self.init(
                .failed, "\(operation): \(error)", cause: .tooManyOpenFiles,
                remedy: "raise the limit of open files (ulimit -n)")
        default: self.init(.failed, "\(operation): \(error)")
        }
    }
}
