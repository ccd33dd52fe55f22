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
    let state: Mutex<State>
    let client: ClientID
    /// Where the next registry is looked for, and for how long.
    let path: String?
    let patience: Duration
    /// As ``RegistryConnection/answersWithin``.
    let answersWithin: Duration
    let underWay: Mutex<UnderWay>
    /// For those who must not wait: while the next registry is told what is under way, that is locked.
    let marks: Mutex<AttachmentMarks>
    private let imports = Mutex(ImportCache())
    /// Raised when the thread has to look up: an earlier deadline, or the end.
    let attention: EventFD
    let poller: Poller
    let notices: AsyncStream<Notice>.Continuation

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
        marks = Mutex(underWay.marks)
        self.attention = attention
        self.poller = poller
        self.notices = notices
    }

    /// See ``AttachmentMarks``.
    func losses(of attachment: AttachmentID) -> Int { marks.withLock { $0.losses(of: attachment) } }

    func checkOwed(_ attachment: AttachmentID, _ generation: Generation, by deadline: Instant) throws(Refusal) {
        try marks.withLock { (marks) throws(Refusal) in try marks.checkOwed(attachment, generation, by: deadline) }
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
    ///
    /// Who is to come back after a restart is waited for until `patient`, if that is sooner than the deadline.
    func ask(
        _ message: Message, _ descriptors: consuming DescriptorList, until deadline: Deadline, patient: Deadline? = nil
    ) async throws(RegistryError) -> Reply {
        try message.checkSendable(with: descriptors)
        return try await ask(message, Sent(descriptors), until: deadline, patient: patient ?? deadline)
    }

    /// As above, what a value owes, or what begins or ends: it is said and answered also where the task that says it is
    /// cancelled.
    @discardableResult
    func askToTheEnd(
        _ request: Request, _ descriptors: consuming DescriptorList = DescriptorList(), until deadline: Deadline
    ) async throws(RegistryError) -> Reply {
        let message = Message.request(request)
        try message.checkSendable(with: descriptors)
        let sent = Sent(descriptors)
        let asking = Task { () async -> Result<Reply, RegistryError> in
            do throws(RegistryError) {
                return .success(try await ask(message, sent, until: deadline, patient: deadline))
            } catch { return .failure(error) }
        }
        return try await asking.value.get()
    }

    private func ask(
        _ message: Message, _ sent: Sent, until deadline: Deadline, patient: Deadline
    ) async throws(RegistryError) -> Reply {
        while true {
            let epoch = state.withLock { $0.epoch }
            let result: Result<Reply, RegistryError>
            switch await askOnce(message, sent, until: deadline) {
            case .over(.failure(.restarted)) where !message.mayBeAskedAgain: throw .restarted
            case .over(let over): result = over
            case .notSent: result = .failure(deadline.hasPassed ? .connection(.deadline) : .restarted)
            }
            if case .success(let reply) = result, reply.isSettling, patient.remaining > RegistryConnection.pause,
                !Task.isCancelled
            {
                await rest()
                continue
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
        try? state.withLock { $0.link }.socket.send(bytes.span, until: .after(.milliseconds(100)))
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
        if Task.isCancelled {
            giveUp(serial)
            return expectNoAnswer(to: serial)
        }
        do throws(Errno) {
            // The answer wakes the reader; a socket that is full is a registry that does not read, which is waited for briefly.
            try link.socket.send(
                bytes, with: sent.descriptors, until: min(waiting.deadline, .after(.milliseconds(100))))
            hasSent(serial, over: link)
            if isFirst { try attention.signal() }
        } catch {
            expectNoAnswer(to: serial)
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

    /// It was not sent, and may have been given up meanwhile.
    private func expectNoAnswer(to serial: UInt64) { state.withLock { $0.givenUp[serial] = nil } }

    private func resumeUnsent(_ serial: UInt64) {
        let waiting = state.withLock { $0.waiting.removeValue(forKey: serial) }
        waiting?.answer.resume(returning: .notSent)
    }

    /// They will not be answered any more.
    func resumeSent(and change: @Sendable (inout State) -> Void = { _ in }) {
        let sent = state.withLock { state in
            change(&state)
            defer { state.waiting = state.waiting.filter { !$0.value.wasSent } }
            state.givenUp = [:]
            return state.waiting.values.filter(\.wasSent)
        }
        for one in sent { one.answer.resume(returning: .over(.failure(.restarted))) }
    }

    func giveUp(_ serial: UInt64) {
        let waiting = state.withLock { state in
            let waiting = state.waiting.removeValue(forKey: serial)
            if let waiting { state.givenUp[serial] = waiting.message }
            return waiting
        }
        waiting?.answer.resume(returning: .over(.failure(.connection(.deadline))))
    }

    func resume(_ serial: UInt64, _ result: Result<Reply, RegistryError>) {
        if let waiting = state.withLock({ $0.waiting.removeValue(forKey: serial) }) {
            if case .success(let reply) = result { noteAnswer(reply.message, to: waiting.message) }
            waiting.answer.resume(returning: .over(result))
        } else if case .success(let reply) = result,
            let request = state.withLock({ $0.givenUp.removeValue(forKey: serial) })
        {
            // What was granted is given back; what has ended has ended.
            if let giving = reply.message.givingBack(request) {
                tell(giving)
            } else {
                noteAnswer(reply.message, to: request)
            }
        }
    }

    private func noteAnswer(_ answer: Message, to request: Message) {
        underWay.withLock { $0.answered(request, answer) }
        if case (.request(.detach(let attachment)), .answer(.done)) = (request, answer) {
            marks.withLock { $0.forget(attachment) }
        }
    }

    /// A promise that holds over a restart.
    func keep(_ fence: Fence, to attachment: AttachmentID, _ terms: FenceTerms, _ id: FenceID?) {
        underWay.withLock { $0.promises.add(fence, to: attachment, terms, id) }
    }

    /// Until there is another registry than that of `epoch`, or there will be none.
    private func waitForNext(after epoch: Int, until deadline: Deadline) async {
        await park(until: deadline) { $0.epoch == epoch }
    }

    /// Before what was refused for a moment is asked again.
    func rest() async { await park(until: .after(RegistryConnection.pause)) { _ in true } }

    /// The thread that reads wakes this task, at the deadline at the latest, unless there is no need to wait.
    private func park(until deadline: Deadline, while isNeeded: @Sendable (borrowing State) -> Bool) async {
        await withCheckedContinuation { task in
            let isOver = state.withLock { state -> Bool in
                if !isNeeded(state) || state.end != nil { return true }
                state.parked.append((deadline, task))
                return false
            }
            if isOver { task.resume() } else { try? attention.signal() }
        }
    }
}
