// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
public import DMABufSystem
import DMABufWire

/// A lock on some buffers: nobody else adds fences to them, locks them or moves them.
///
/// Rule: *A lock ends with its value.* ``unlock(until:)`` consumes it; one that is dropped is unlocked, without waiting for
/// an answer. What is asked for under it carries its number, and is refused once it is over.
public struct ReservationLock: ~Copyable, Sendable {
    public let number: LockNumber
    /// When the registry ends it by itself.
    public let deadline: Deadline
    private let exchange: Exchange
    private var isOver = false

    init(_ number: LockNumber, _ deadline: Deadline, _ exchange: Exchange) {
        self.number = number
        self.deadline = deadline
        self.exchange = exchange
    }

    deinit {
        if !isOver { exchange.tell(.unlock(number)) }
    }

    /// Throws ``Refusal/lockEnded`` if it was over before: what was done since then was done without it.
    public consuming func unlock(until deadline: Deadline) async throws(RegistryError) {
        isOver = true
        try await exchange.askToTheEnd(.unlock(number), until: deadline)
    }

    /// Adds a fence in a slot that was reserved. The caller keeps its own descriptor.
    public borrowing func add(
        _ fence: Fence, to attachment: AttachmentID, _ terms: FenceTerms, until deadline: Deadline
    ) async throws(RegistryError) -> FenceID {
        try await exchange.add(fence, to: attachment, terms, lock: number, until: deadline)
    }

    /// Begins a move of a buffer that is locked. What becomes of it is told by notices.
    public borrowing func beginMove(
        _ buffer: BufferID, _ generation: Generation, _ terms: MoveTerms, until deadline: Deadline
    ) async throws(RegistryError) {
        var terms = terms
        terms.lock = number
        _ = try await exchange.ask(
            .request(.beginMove(buffer, generation, terms)), DescriptorList(), until: deadline)
    }
}

extension RegistryClient {
    /// Locks all of `buffers` at once, as soon as nobody who asked before holds or wants one of them, and for `lasting`, 10 s
    /// at most.
    ///
    /// Throws ``Refusal/lockTimedOut(waitingFor:)`` at `deadline`, or after the longest wait that the registry allows.
    public func lock(
        _ buffers: [BufferID], lasting: Duration = .seconds(2), until deadline: Deadline
    ) async throws(RegistryError) -> ReservationLock {
        try await exchange.lock(buffers, lasting, until: deadline)
    }
}

extension Exchange {
    fileprivate func lock(
        _ buffers: [BufferID], _ lasting: Duration, until deadline: Deadline
    ) async throws(RegistryError) -> ReservationLock {
        let request = Request.locking(buffers, until: deadline, lasting: lasting)
        // The wait has its own end, and is answered then: who was in the way is worth a moment more.
        let reply = try await ask(.request(request), DescriptorList(), until: deadline.advanced(by: answersWithin))
        guard case .answer(.locked(let number, let until)) = reply.message else { throw reply.unexpected }
        return ReservationLock(number, Deadline(nanoseconds: until.nanoseconds), self)
    }

    func add(
        _ fence: Fence, to attachment: AttachmentID, _ terms: FenceTerms, lock: LockNumber?, until deadline: Deadline
    ) async throws(RegistryError) -> FenceID {
        let reply = try await ask(
            .request(.addFence(attachment, terms, lock: lock)), try fence.duplicates(), until: deadline)
        guard case .answer(.fenceAdded(let id)) = reply.message else { throw reply.unexpected }
        keep(fence, to: attachment, terms, id)
        return id
    }
}

extension Request {
    /// `deadline` ends the wait.
    static func locking(_ buffers: [BufferID], until deadline: Deadline, lasting: Duration) -> Request {
        .lock(
            buffers, within: min(Interval(deadline.remaining), Limits().longestLock), lasting: Interval(lasting))
    }
}
