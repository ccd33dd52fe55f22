// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
public import DMABufSystem
import DMABufWire

/// A holder's answer to a move, owed until ``deadline``: the memory is about to be somewhere else.
///
/// Rule: *An answer is consumed.* It is given once, by ``acknowledge(ending:until:)`` or ``refuse(until:)``; who drops it
/// has refused, which holds nobody up until the deadline. The drop waits for nothing but room in the socket, 100 ms at
/// most. The corresponding kernel name is `move_notify`, which userspace never receives.
public struct MoveNotice: ~Copyable, Sendable {
    /// This client's attachment, which is inside an access.
    public let attachment: AttachmentID
    public let buffer: BufferID
    /// The one that is about to be over.
    public let generation: Generation
    /// When the mover stops waiting: what happens then is its choice.
    public let deadline: Deadline
    private let exchange: Exchange
    private var isAnswered = false

    init(_ invalidation: Invalidation, _ exchange: Exchange) {
        attachment = invalidation.attachment
        buffer = invalidation.buffer
        generation = invalidation.generation
        deadline = invalidation.deadline
        self.exchange = exchange
    }

    deinit {
        // What comes later might be taken for the answer to another move.
        guard !isAnswered, !deadline.hasPassed, (try? checkOwed()) != nil else { return }
        exchange.tell(.refuseMove(attachment, generation))
    }

    /// Says that every access has ended and the memory is unmapped; `fence`, of which the caller keeps its own descriptor,
    /// ends the work that is still under way.
    ///
    /// Throws ``Refusal/notOwed(current:)`` when the mover has stopped waiting.
    public consuming func acknowledge(
        ending fence: (Fence, FenceTerms)? = nil, until deadline: Deadline
    ) async throws(RegistryError) {
        let descriptors = try fence.map { (fence) throws(RegistryError) in try fence.0.duplicates() }
        isAnswered = true
        try checkOwed()
        let request = Request.acknowledge(attachment, generation, ending: fence?.1)
        try await exchange.askToTheEnd(request, descriptors ?? DescriptorList(), until: deadline)
        if let (fence, terms) = fence { exchange.keep(fence, to: attachment, terms, nil) }
    }

    /// Says that this client will not let go. Throws as above.
    public consuming func refuse(until deadline: Deadline) async throws(RegistryError) {
        isAnswered = true
        try checkOwed()
        try await exchange.askToTheEnd(.refuseMove(attachment, generation), until: deadline)
    }
}

extension MoveNotice {
    private func checkOwed() throws(RegistryError) {
        do throws(Refusal) {
            try exchange.checkOwed(attachment, generation, by: Instant(nanoseconds: deadline.nanoseconds))
        } catch { throw .ruledOut(error) }
    }
}

/// The notice that is a question.
struct Invalidation: Sendable {
    let attachment: AttachmentID
    let buffer: BufferID
    let generation: Generation
    let deadline: Deadline

    init?(_ notice: Notice) {
        guard case .invalidate(let attachment, let buffer, let generation, let until) = notice else { return nil }
        self.attachment = attachment
        self.buffer = buffer
        self.generation = generation
        deadline = Deadline(nanoseconds: until.nanoseconds)
    }
}
