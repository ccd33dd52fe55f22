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
        let answer: CheckedContinuation<Result<Reply, RegistryError>, Never>
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
        var firstDeadline: Deadline { waiting.values.lazy.map(\.deadline).min() ?? Deadline(nanoseconds: .max) }

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
        for one in waiting { one.answer.resume(returning: .failure(error)) }
        unpark()
        notices.finish()
        try? attention.signal()
    }

    /// Sends, and waits for the answer of that number. A refusal is thrown; so is the end of the task, as a deadline. What
    /// does no harm if it is asked twice is asked again after a restart of the registry.
    func ask(
        _ message: Message, _ descriptors: consuming DescriptorList, until deadline: Deadline
    ) async throws(RegistryError) -> Reply {
        let sent = Sent(descriptors)
        while true {
            let epoch = state.withLock { $0.epoch }
            let result = await askOnce(message, sent, until: deadline)
            if case .failure(.restarted) = result, message.mayBeAskedAgain, !deadline.hasPassed, !Task.isCancelled {
                await waitForNext(after: epoch, until: deadline)
                continue
            }
            return try result.get().checked()
        }
    }

    private func askOnce(_ message: Message, _ sent: Sent, until deadline: Deadline) async -> Result<
        Reply, RegistryError
    > {
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
        if let end { return waiting.answer.resume(returning: .failure(end)) }
        // A cancellation that came before the request was noted has found nothing.
        if Task.isCancelled { return giveUp(serial) }
        do throws(Errno) {
            // The answer wakes the reader; a socket that is full is a registry that does not read, which is waited for briefly.
            try link.socket.send(
                bytes, with: sent.descriptors, until: min(waiting.deadline, .after(.milliseconds(100))))
            if isFirst { try attention.signal() }
        } catch {
            switch error {
            case .timedOut: resume(serial, .failure(.connection(.deadline)))
            // The thread sees the end, too, and whether another registry comes.
            case .brokenPipe, .connectionReset:
                resume(serial, .failure(path == nil ? .connection(.closed) : .restarted))
            default: resume(serial, .failure(.connection(.system(error))))
            }
        }
    }

    private func giveUp(_ serial: UInt64) { resume(serial, .failure(.connection(.deadline))) }

    private func resume(_ serial: UInt64, _ result: Result<Reply, RegistryError>) {
        if let waiting = state.withLock({ $0.waiting.removeValue(forKey: serial) }) {
            if case .success(let reply) = result {
                underWay.withLock { $0.answered(waiting.message, reply.message) }
            }
            waiting.answer.resume(returning: result)
        } else if case .success(let reply) = result, let request = reply.message.givingBack {
            tell(request)
        }
    }

    /// A promise that holds over a restart.
    func keep(_ fence: Fence, to attachment: AttachmentID, _ terms: FenceTerms, _ id: FenceID) {
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
        let (old, secret, waiting) = state.withLock { state -> (Link, Secret, [Waiting]) in
            defer { state.waiting = [:] }
            return (state.link, state.secret, Array(state.waiting.values))
        }
        try? poller.remove(old.socket.descriptor)
        for one in waiting { one.answer.resume(returning: .failure(.restarted)) }
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
                state.withLock { state in
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
            if isOver { task.resume() }
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
