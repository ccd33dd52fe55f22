// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire
import Synchronization
import SystemPackage

/// Requests that are under way, and the thread that hears their answers.
///
/// A task sends by itself, and wakes the thread only where its deadline is the first of all: a request costs what it costs
/// without tasks, and the switch to the thread that reads.
final class Exchange: Sendable {
    private struct Waiting {
        let message: Message
        let deadline: Deadline
        let answer: CheckedContinuation<Outcome, Never>
        /// Until then nothing came of it, whatever happens to the registry.
        var wasSent = false
    }

    private enum Outcome {
        case over(Result<Reply, RegistryError>)
        case notSent
    }

    /// In a place that a task can hold while the thread goes on with another.
    private final class Link: Sendable {
        let socket: UnixSocket
        init(_ socket: consuming UnixSocket) { self.socket = socket }
    }

    private struct State {
        var link: Link
        var secret: Secret
        var lastSerial: UInt64 = 1 << 32  // above those that the connection has used before
        var waiting: [UInt64: Waiting] = [:]
        var end: RegistryError?
        /// How many registries have been found after the first, and who waits for the next.
        var epoch = 0
        var parked: [(deadline: Deadline, task: CheckedContinuation<Void, Never>)] = []
        var firstDeadline: Deadline {
            let first = waiting.values.lazy.map(\.deadline).min() ?? Deadline(nanoseconds: .max)
            return parked.lazy.map(\.deadline).min().map { min($0, first) } ?? first
        }

        init(_ link: Link, _ secret: Secret) {
            self.link = link
            self.secret = secret
        }
    }

    private let state: Mutex<State>
    private let client: ClientID
    /// Where the next registry is looked for, and for how long.
    private let path: String?
    private let patience: Duration
    /// As ``RegistryConnection/answersWithin``.
    let answersWithin: Duration
    private let underWay: Mutex<UnderWay>
    private let imports = Mutex(ImportCache())
    /// Raised when the thread has to look up: an earlier deadline, or the end.
    private let attention: EventFD
    private let poller: Poller
    private let notices: AsyncStream<Notice>.Continuation

    init(
        _ connection: consuming RegistryConnection, _ notices: AsyncStream<Notice>.Continuation
    ) throws(Errno) {
        let attention = try EventFD()
        let poller = try Poller()
        path = connection.path
        patience = connection.patience
        answersWithin = connection.answersWithin
        client = connection.joined.client
        let secret = connection.joined.secret
        let underWay = connection.underWay
        let link = Link(connection.intoSocket())
        try poller.add(link.socket.descriptor, token: 0)
        try poller.add(attention.descriptor, token: 1)
        state = Mutex(State(link, secret))
        self.underWay = Mutex(underWay)
        self.attention = attention
        self.poller = poller
        self.notices = notices
    }

    func end(_ error: RegistryError = .connection(.closed)) {
        let waiting = state.withLock { state -> [Waiting] in
            if state.end == nil { state.end = error }
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for one in waiting { one.answer.resume(returning: .over(.failure(error))) }
        unpark()
        notices.finish()
        try? attention.signal()
    }

    /// Sends, and waits for the answer of that number. A refusal is thrown; so is the end of the task, as a deadline. What
    /// was not sent, or does no harm if it is asked twice, is asked again after a restart of the registry.
    func ask(
        _ message: Message, _ descriptors: consuming DescriptorList, until deadline: Deadline
    ) async throws(RegistryError) -> Reply {
        try message.checkSendable(with: descriptors)
        let sent = Sent(descriptors)
        while true {
            let epoch = state.withLock { $0.epoch }
            let result: Result<Reply, RegistryError>
            switch await askOnce(message, sent, until: deadline) {
            case .over(let over) where !message.mayBeAskedAgain: return try over.get().checked()
            case .over(let over): result = over
            case .notSent: result = .failure(deadline.hasPassed ? .connection(.deadline) : .restarted)
            }
            guard case .failure(.restarted) = result, !deadline.hasPassed, !Task.isCancelled else {
                return try result.get().checked()
            }
            await waitForNext(after: epoch, until: deadline)
        }
    }

    private func askOnce(_ message: Message, _ sent: Sent, until deadline: Deadline) async -> Outcome {
        let serial = nextSerial()
        let bytes = Envelope(serial: serial, message).encoded()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { answer in
                begin(serial, Waiting(message: message, deadline: deadline, answer: answer), bytes, sent)
            }
        } onCancel: {
            giveUp(serial)
        }
    }

    /// A request that is answered with memory.
    func grant(_ request: Request, until deadline: Deadline) async throws(RegistryError) -> AttachedBuffer {
        try await ask(.request(request), DescriptorList(), until: deadline).attached(imports)
    }

    /// Sends a request whose answer nobody waits for: what a value owes that ends. It waits for nothing but room.
    func tell(_ request: Request) {
        guard state.withLock({ $0.end }) == nil else { return }
        let bytes = Envelope(serial: nextSerial(), .request(request)).encoded()
        try? state.withLock { $0.link }.socket.send(bytes, with: DescriptorList(), until: .after(.milliseconds(100)))
    }

    private func nextSerial() -> UInt64 {
        state.withLock { state in
            state.lastSerial += 1
            return state.lastSerial
        }
    }

    /// Noted first, for the answer may come before the send returns.
    private func begin(_ serial: UInt64, _ waiting: Waiting, _ bytes: [UInt8], _ sent: Sent) {
        let (end, isFirst, link) = state.withLock { state -> (RegistryError?, Bool, Link) in
            if let end = state.end { return (end, false, state.link) }
            let isFirst = waiting.deadline < state.firstDeadline
            state.waiting[serial] = waiting
            return (nil, isFirst, state.link)
        }
        if let end { return waiting.answer.resume(returning: .over(.failure(end))) }
        // A cancellation that came before the request was noted has found nothing.
        if Task.isCancelled { return giveUp(serial) }
        do throws(Errno) {
            // The answer wakes the reader; a socket that is full is a registry that does not read, which is waited for briefly.
            try link.socket.send(
                bytes, with: sent.descriptors, until: min(waiting.deadline, .after(.milliseconds(100))))
            hasSent(serial, over: link)
            if isFirst { try attention.signal() }
        } catch {
            switch error {
            case .timedOut: resume(serial, .failure(.connection(.deadline)))
            // The thread sees the end, too, why it is, and whether another registry comes.
            case .brokenPipe, .connectionReset: resumeUnsent(serial)
            default: resume(serial, .failure(.connection(.system(error))))
            }
        }
    }

    /// The answer may be there already; or the registry has gone, and nobody will hear it.
    private func hasSent(_ serial: UInt64, over link: Link) {
        let isLost = state.withLock { state in
            state.waiting[serial]?.wasSent = true
            return state.link !== link
        }
        if isLost { resume(serial, .failure(.restarted)) }
    }

    private func resumeUnsent(_ serial: UInt64) {
        let waiting = state.withLock { $0.waiting.removeValue(forKey: serial) }
        waiting?.answer.resume(returning: .notSent)
    }

    /// They will not be answered any more.
    private func resumeSent(and change: @Sendable (inout State) -> Void = { _ in }) {
        let sent = state.withLock { state in
            change(&state)
            defer { state.waiting = state.waiting.filter { !$0.value.wasSent } }
            return state.waiting.values.filter(\.wasSent)
        }
        for one in sent { one.answer.resume(returning: .over(.failure(.restarted))) }
    }

    private func giveUp(_ serial: UInt64) { resume(serial, .failure(.connection(.deadline))) }

    private func resume(_ serial: UInt64, _ result: Result<Reply, RegistryError>) {
        if let waiting = state.withLock({ $0.waiting.removeValue(forKey: serial) }) {
            if case .success(let reply) = result {
                underWay.withLock { $0.answered(waiting.message, reply.message) }
            }
            waiting.answer.resume(returning: .over(result))
        } else if case .success(let reply) = result, let request = reply.message.givingBack {
            tell(request)
        }
    }

    /// A promise that holds over a restart.
    func keep(_ fence: Fence, to attachment: AttachmentID, _ terms: FenceTerms, _ id: FenceID?) {
        underWay.withLock { $0.promises.add(fence, to: attachment, terms, id) }
    }

    // MARK: The reader's thread

    func read() {
        var buffer = [UInt8](repeating: 0, count: Wire.messageLimit)
        while state.withLock({ $0.end }) == nil {
            let next = state.withLock { $0.firstDeadline }
            let token = try? poller.next(until: next)
            _ = attention.drain()
            if token == 0 { receive(&buffer) }
            endLate()
        }
        state.withLock { $0.link }.socket.shutdown()
    }

    /// Whether another registry has taken the place of the one that is gone, and knows this client.
    private func comeBack() -> Bool {
        guard let path, patience > .zero else { return false }
        let (old, secret) = state.withLock { ($0.link, $0.secret) }
        try? poller.remove(old.socket.descriptor)
        resumeSent()
        let end = Deadline.after(patience)
        while !end.hasPassed, state.withLock({ $0.end }) == nil {
            do throws(RegistryError) {
                let next = try Joining(path, .registry, secret, until: end)
                guard next.joined.client == client else { return false }
                let secret = next.joined.secret
                var following = NextRegistry(next.intoConnection(), until: end)
                let said = try underWay.withLock { (underWay) throws(RegistryError) in
                    try underWay.goOn(without: []) { (request, fence) throws(RegistryError) in
                        try following.ask(request, fence)
                    }
                }
                let heard = underWay.withLock { underWay in following.notices.map { underWay.heard($0) } }
                let link = Link(following.intoSocket())
                do throws(Errno) { try poller.add(link.socket.descriptor, token: 0) } catch { return false }
                // Some may have been noted as sent meanwhile: in one step, so that none is left over.
                resumeSent { state in
                    (state.link, state.secret) = (link, secret)
                    state.epoch += 1
                }
                // Whoever hears of it asks the one that it is about.
                for notice in said + heard { notices.yield(notice) }
                unpark()
                return true
            } catch {
                guard error.isOfAnEnd else { return false }
                let now = Deadline.now()
                unpark { $0 <= now }
                Clock.sleep(RegistryConnection.pause)
            }
        }
        return false
    }

    /// Until there is another registry than that of `epoch`, or there will be none.
    private func waitForNext(after epoch: Int, until deadline: Deadline) async {
        await withCheckedContinuation { task in
            let isOver = state.withLock { state -> Bool in
                if state.epoch != epoch || state.end != nil { return true }
                state.parked.append((deadline, task))
                return false
            }
            if isOver { task.resume() } else { try? attention.signal() }
        }
    }

    private func unpark(_ isMeant: @Sendable (Deadline) -> Bool = { _ in true }) {
        let meant = state.withLock { state in
            defer { state.parked.removeAll { isMeant($0.deadline) } }
            return state.parked.filter { isMeant($0.deadline) }
        }
        for one in meant { one.task.resume() }
    }

    private func receive(_ buffer: inout [UInt8]) {
        let link = state.withLock { $0.link }
        do throws(ReceiveError) {
            guard let received = try link.socket.tryReceive(into: &buffer) else { return }
            let count = received.byteCount
            let reply = Sent(received.descriptors)
            let envelope: Envelope
            do throws(WireError) {
                envelope = try Envelope(
                    decoding: buffer.span.extracting(first: count), descriptorCount: reply.descriptors.count)
            } catch { return end(.connection(.wire(error))) }
            switch envelope.message {
            case .notice(let notice):
                let notice = underWay.withLock { $0.heard(notice) }
                guard case .dropped = notices.yield(notice) else { return }
                end(.connection(.unexpected("more notices than anybody reads")))
            case .farewell(let farewell): end(.connection(.farewell(farewell)))
            default: resume(envelope.serial, .success(Reply(envelope.message, reply)))
            }
        } catch {
            switch error {
            case .closed, .system(.connectionReset): if !comeBack() { end() }
            case .system(let error): end(.connection(.system(error)))
            case .truncatedBytes:
                end(.connection(.wire(.tooLong(limit: Wire.messageLimit, has: Wire.messageLimit + 1))))
            case .truncatedDescriptors: end(.connection(.descriptorsLost))
            }
        }
    }

    private func endLate() {
        let now = Deadline.now()
        let late = state.withLock { state in state.waiting.filter { $0.value.deadline <= now }.map(\.key) }
        for serial in late { giveUp(serial) }
        unpark { $0 <= now }
    }
}

/// The descriptors of a message, on their way between tasks and the thread. They belong to whoever has it, one at a time.
final class Sent: @unchecked Sendable {
    var descriptors: DescriptorList
    init(_ descriptors: consuming DescriptorList) { self.descriptors = descriptors }
}

/// An answer and what came with it.
struct Reply: Sendable {
    let message: Message
    private let passed: Sent

    init(_ message: Message, _ passed: Sent) {
        self.message = message
        self.passed = passed
    }

    func checked() throws(RegistryError) -> Reply {
        switch message {
        case .answer(.refused(let refusal)): throw .ruledOut(refusal)
        case .refused(let refusal): throw .refused(refusal)
        default: return self
        }
    }

    func attached(_ imports: borrowing Mutex<ImportCache>) throws(RegistryError) -> AttachedBuffer {
        guard case .granted(let grant) = message else { throw unexpected }
        do throws(DMABufError) {
            return try imports.withLock { (imports) throws(DMABufError) in try imports.take(grant, &passed.descriptors)
            }
        } catch { throw .local(error) }
    }

    var unexpected: RegistryError { .connection(.unexpected("another kind of answer")) }
}
