// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage

extension RegistryServer {
    /// One message at a time: so the others have their turn, and no call is spent on finding that nothing more is there.
    mutating func serve(client number: ClientNumber, _ event: PollerEvents.Event) {
        guard let client = clients[number] else { return }
        if client.isWaiting { flush(client) }
        if !client.isWaiting, event.isReadable { receive(from: client) }
        // Whoever reads nothing and is gone is seen here.
        if event.hasHungUp || event.hasFailed, client.isWaiting || !event.isReadable { died(client) }
        observe()
    }

    mutating func processEnded(_ number: ClientNumber) {
        // Its descriptors may be open in a child; it is dead all the same.
        if let client = clients[number] { died(client) }
        observe()
    }

    private mutating func receive(from client: ClientConnection) {
        var strangers: DescriptorList.Strangers?
        do throws(ReceiveError) {
            guard
                let received = try client.socket.tryReceive(
                    into: &incoming, descriptorsAtMost: Self.descriptorLimit, strangers: &strangers)
            else { return }
            decode(received, from: client)
        } catch {
            if let strangers { note(strangers.count, strangers.lost, of: client.identity.user) }
            switch error {
            case .truncatedDescriptors:
                part(
                    client, .descriptorsLost, "descriptors were lost: too many came, or the table of open files is full"
                )
            case .truncatedBytes: part(client, .malformed, "a message is longer than \(Wire.messageLimit) bytes")
            case .closed where isDraining: heardOut(client)
            case .closed, .system: died(client)
            }
        }
    }

    /// Four memories and a fence: no request has more.
    private static let descriptorLimit = BufferDescription.sizeLimit + 1

    private mutating func decode(_ received: consuming Received, from client: ClientConnection) {
        let count = received.byteCount
        var descriptors = received.descriptors
        let descriptorCount = descriptors.count
        // Before anything else is done, and whatever the message says.
        let stranger = descriptors.closeIfStrange()
        if let stranger { note(stranger.count, stranger.lost, of: client.identity.user) }
        guard !client.isClosed else { return }
        do throws(WireError) {
            let envelope = try Envelope(
                decoding: incoming.span.extracting(first: count), descriptorCount: descriptorCount)
            guard !envelope.message.isOfWorker else { throw .unknownOpcode(envelope.message.opcode.rawValue) }
            if let stranger, client.id != nil { return refuse(stranger.kind, envelope, client) }
            take(envelope, &descriptors, from: client)
        } catch {
            counters.protocolErrors += 1
            if case .version = error { return part(client, .version, "\(error)") }
            part(client, .malformed, "\(error)")
        }
    }

    /// All requests that bring descriptors want one of a kind that is known.
    private mutating func refuse(_ kind: DescriptorKind, _ envelope: Envelope, _ client: ClientConnection) {
        guard envelope.message.isRequest else { return part(client, .unexpected, "a message out of its place") }
        let refusal = OfferRefusal(.wrongKind, Wire.reason("descriptor is \(kind)"))
        say(.refused(refusal), envelope.serial, to: client)
    }

    private mutating func take(
        _ envelope: borrowing Envelope, _ descriptors: inout DescriptorList, from client: ClientConnection
    ) {
        Failpoint.reach(.before, envelope.message)
        if case .joined(let id) = client.stage { return decide(envelope, &descriptors, id, client) }
        switch (client.stage, envelope.message) {
        case (_, .farewell): died(client)
        case (.greeting, .hello(let hello)):
            guard hello.features.contains(.registry) else {
                return part(client, .unserved, "this is a registry, and the peer does not speak to registries")
            }
            client.stage = .joining
            client.wantsPages = hello.features.contains(.pages)
        case (.joining, .join(let join)): self.join(client, join, envelope.serial)
        default: part(client, .unexpected, "a message out of its place")
        }
    }

    private mutating func decide(
        _ envelope: borrowing Envelope, _ descriptors: inout DescriptorList, _ id: ClientID, _ client: ClientConnection
    ) {
        // What the rules have not taken is closed.
        defer { closeArrived() }
        arriving.client = client
        arriving.number = RequestNumber(envelope.serial)
        do throws(DMABufError) {
            switch envelope.message {
            case .register(let buffer): decide(try admit(buffer, &descriptors), id, client)
            case .commitMove(let next): decide(try admit(next, &descriptors), id, client)
            case .stats: tellStatistics(id, client, envelope.serial)
            case .allocate(let allocation): allocate(allocation, id, client, envelope.serial)
            case .request(let request):
                if let kind = request.fenceKind { arriving.fence = try admitFence(kind, &descriptors) }
                decide(request, id, client)
            case .farewell: died(client)
            default: part(client, .unexpected, "a message out of its place")
            }
        } catch {
            // Nothing that came with it may be kept, or taken for what comes with another.
            closeArrived()
            refuse(error, envelope.serial, client)
        }
    }

    private mutating func closeArrived() {
        let last = arriving.memory?.duplicatesOfBig ?? DescriptorList()
        arriving = Arriving()
        closeElsewhere(last)
    }

    /// To the rules.
    mutating func pass(_ request: Request, _ id: ClientID) {
        counters.requests += 1
        handle(request, arriving.number, from: id)
        observe()
        Failpoint.reach(.after, request)
    }
}

extension Message {
    /// The registry's own worker is no client, and no client knows of these.
    fileprivate var isOfWorker: Bool {
        switch self {
        case .order, .made: true
        default: false
        }
    }

    fileprivate var isRequest: Bool {
        switch self {
        case .register, .commitMove, .request, .allocate: true
        default: false
        }
    }
}

extension RegistryServer {
    mutating func refuse(_ error: DMABufError, _ serial: UInt64, _ client: ClientConnection) {
        counters.refusals += 1
        say(
            .refused(OfferRefusal(error.refusalReason, Wire.reason(error.message.escapedForDisplay))), serial,
            to: client)
    }
}

extension Request {
    /// What the descriptor that comes with it must be.
    fileprivate var fenceKind: FenceTerms.Kind? {
        switch self {
        case .addFence(_, let terms, _): terms.kind
        case .acknowledge(_, _, let terms): terms?.kind
        default: nil
        }
    }
}
