// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import Logging
import SystemPackage

extension RegistryServer {
    @discardableResult
    mutating func say(
        _ message: consuming Message, _ serial: UInt64, with memory: [DMABuffer] = [], to client: ClientConnection
    ) -> Outbox.Outcome {
        guard !client.isClosed else { return .gone }
        let isNotice = if case .notice = message { true } else { false }
        let count = message.encode(serial, into: &outgoing)
        let outcome = client.send(outgoing.span.extracting(first: count), memory, isNotice: isNotice)
        switch outcome {
        case .sent: break
        case .kept: wait(for: client)
        case .starved: starve(client)
        // An answer cannot be left out: without it the client would wait for ever.
        case .gone: died(client)
        }
        return outcome
    }

    /// Nothing more is read from it until it has read: so what waits for it here is bounded, and its own requests are not
    /// served before it has taken the answers to those before.
    private mutating func wait(for client: ClientConnection) {
        guard !client.isWaiting else { return }
        client.isWaiting = true
        try? poller.change(
            client.socket.descriptor, token: EventToken.client(client.number).rawValue, for: .outputEdges)
    }

    mutating func flush(_ client: ClientConnection) {
        let (notices, outcome) = client.flush()
        if notices > 0, let id = client.id { observations.append(.delivered(id, notices: notices)) }
        switch outcome {
        case .sent:
            client.isWaiting = false
            try? poller.change(client.socket.descriptor, token: EventToken.client(client.number).rawValue, for: .input)
        case .kept: break
        case .starved: starve(client)
        case .gone: died(client)
        }
        observe()
    }

    /// No reading of this client's will tell when there is room again: it is tried from time to time.
    private mutating func starve(_ client: ClientConnection) {
        wait(for: client)
        starved.insert(client.number)
        tryAgainSoon()
    }

    mutating func tryAgainSoon() {
        if nextTry == nil { nextTry = now + .milliseconds(10) }
    }

    mutating func feedStarved() {
        nextTry = nil
        let numbers = starved
        starved = []
        for number in numbers { if let client = clients[number], client.isWaiting { flush(client) } }
        guard reservations.isStarved else { return }
        reservations.submitWaiting()
        if reservations.isStarved { tryAgainSoon() }
    }

    /// Ends a connection for a reason, which is said once and without waiting.
    mutating func part(_ client: ClientConnection, _ reason: Farewell.Reason, _ text: String) {
        guard !client.isClosed else { return }
        note(
            .notice, "parted",
            [
                "uid": "\(client.identity.user)", "pid": "\(client.identity.process)", "reason": "\(reason)",
                "text": "\(text)",
            ])
        let farewell = Message.farewell(Farewell(reason, Wire.reason(text.escapedForDisplay)))
        let count = farewell.encode(2, into: &outgoing)
        // Whoever has read too little has no room in its queue, and is to learn why all the same.
        _ = try? client.socket.trySendLast(outgoing.span.extracting(first: count))
        died(client)
    }

    /// The rules have cut it off, and know it no more.
    mutating func cutOff(_ id: ClientID, _ reason: CutOffReason) {
        counters.cutOff += 1
        guard let client = clients[id] else { return }
        part(client, reason.farewell, "\(reason)")
    }

    /// The last step of the ladder. The process is the one that the kernel named at accept, and never another of its number;
    /// this may not be allowed to end it.
    mutating func kill(_ id: ClientID) {
        guard let client = clients[id], client.identity.process != OwnProcess.processID else { return }
        let who: Logger.Metadata = ["uid": "\(client.identity.user)", "pid": "\(client.identity.process)"]
        do throws(Errno) {
            try client.identity.pidfd.send(SignalNumber.kill.rawValue)
            note(.notice, "killed", who)
        } catch {
            note(.warning, "a process was not killed: \(error)", who)
        }
    }

    /// The connection's end, or its process's: whichever comes first.
    mutating func died(_ client: ClientConnection) {
        guard !client.isClosed else { return }
        client.isClosed = true
        client.socket.shutdown()
        clients.remove(client)
        budget.connections.giveBack(of: client.identity.user)
        // Its descriptors are free in a moment.
        if nextAccept != nil { nextAccept = now }
        if let own = client.own { pages.cutOff(own, of: client.identity.user) }
        guard let id = client.id else { return greetings.remove(of: client.identity.user) }
        secrets[id] = nil
        counters.deaths += 1
        observations.append(.clientDied(id))
    }
}

extension CutOffReason {
    fileprivate var farewell: Farewell.Reason {
        switch self {
        case .slowReader: .slowReader
        case .ignoredRevoke: .ignoredRevoke
        case .ignoredLease: .ignoredLease
        }
    }
}
