// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufScenario
import Testing

/// A registry and its clock. Every step is followed by a walk over the tables.
struct Story {
    var registry: Registry
    var now = Instant(nanoseconds: 0)
    private var effects = Effects()
    private var requests: UInt64 = 0

    init(_ limits: Limits = Limits()) { registry = Registry(limits: limits) }

    mutating func connect(uid: UInt32 = 1000, gids: [UInt32] = []) throws(Refusal) -> ClientID {
        try registry.connect(Identity(uid: uid, gids: gids, pid: 1), at: now, into: &effects)
    }

    /// All effects of a request, the answer among them.
    mutating func effects(of request: Request, by client: ClientID) -> [Effect] {
        requests += 1
        effects.removeAll()
        registry.handle(request, numbered: RequestNumber(requests), from: client, at: now, into: &effects)
        return walked()
    }

    /// The answer to a request, if it comes at once.
    @discardableResult
    mutating func ask(_ client: ClientID, _ request: Request) -> Answer? {
        let number = RequestNumber(requests + 1)
        for case .answer(client, number, let answer) in effects(of: request, by: client) { return answer }
        return nil
    }

    @discardableResult
    mutating func observe(_ observation: Observation) -> [Effect] {
        effects.removeAll()
        registry.observe(observation, at: now, into: &effects)
        return walked()
    }

    @discardableResult
    mutating func pass(_ interval: Interval) -> [Effect] {
        now = now + interval
        effects.removeAll()
        registry.expire(at: now, into: &effects)
        return walked()
    }

    private func walked() -> [Effect] {
        #expect(registry.problems() == [])
        return effects.list
    }

    /// A registered buffer of one page.
    mutating func register(_ number: UInt64 = 1, by client: ClientID, kept: Kept = .owner, byteCount: UInt64 = 4096)
        -> BufferID
    {
        let id = BufferID(high: 0, low: number)
        let backing = Backing(inode: number, byteCount: byteCount)
        #expect(ask(client, .register(id, Registration(backing: backing, kept: kept))) == .registered(id, .first))
        return id
    }

    mutating func attach(_ id: BufferID, by client: ClientID, _ terms: AttachTerms = AttachTerms(.readWrite)) throws
        -> AttachmentID
    {
        guard case .attached(let attachment, _, _) = ask(client, .attach(id, terms)) else { throw Unexpected() }
        return attachment
    }

    mutating func addFence(_ attachment: AttachmentID, by client: ClientID, _ terms: FenceTerms) throws -> FenceID {
        ask(client, .reserve(attachment, slots: 1))
        guard case .fenceAdded(let fence) = ask(client, .addFence(attachment, terms, lock: nil)) else {
            throw Unexpected()
        }
        return fence
    }

    struct Unexpected: Error {}
}

extension [Effect] {
    func answer(to client: ClientID) -> Answer? {
        for case .answer(client, _, let answer) in self { return answer }
        return nil
    }

    func notices(to client: ClientID) -> [Notice] {
        compactMap { if case .notify(client, let notice) = $0 { notice } else { nil } }
    }
}
