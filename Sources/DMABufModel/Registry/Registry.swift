// SPDX-License-Identifier: Apache-2.0

/// The sharing registry as a value: who asks, what happened and what time it is go in; effects come out.
///
/// Each rule is in a file of its own, `Rules/`, as prose and code; this file is the way in. A step is one call of
/// ``connect(_:at:into:)``, ``handle(_:numbered:from:at:into:)``, ``observe(_:at:into:)`` or ``expire(at:into:)``.
/// Requests that come per frame (attach, detach, accesses, fences, look-ups) allocate nothing once the slabs have grown.
public struct Registry: Sendable {
    /// May change at any time: what is held stays, and is counted.
    public var limits: Limits

    /// Never anything. A value that may hold one of any type is passed by its address: this one would else be copied, a
    /// kilobyte, for every call of a function that only reads. What such a function is told goes into a name of its own
    /// first: where its arguments are read from the registry, too, that is copied after all.
    private let anchor: (any Sendable)? = nil

    /// The step under way.
    var now = Instant(nanoseconds: 0)
    var effects = Effects(capacity: 0)
    /// What has changed of what survives, for who wants to know: see ``takeChanges()``.
    public var keepsChanges = false
    var changes: [Change] = []
    /// What ends when the step does: clients that are cut off, buffers that nobody keeps.
    var doomed: [(client: ClientID, farewell: CutOffReason)] = []
    var unused: [BufferID] = []

    /// Numbers that are never given twice.
    var lastNumber: UInt64 = 0

    var users = Slab<User>()
    var userSlots: [UInt32: Slot] = [:]
    /// What all uids are charged together.
    var used = Ledger()

    var clients = Slab<Client>()
    var clientSlots = NumberTable<ClientID>()

    var buffers = Slab<Buffer>()
    var bufferSlots = NumberTable<BufferID>()
    var ownedLinks = Links()
    var moveLinks = Links()
    var names: [NameKey: Slot] = [:]

    var attachments = Slab<Attachment>()
    var attachmentSlots = NumberTable<AttachmentID>()
    var bufferAttachments = Links()
    var clientAttachments = Links()
    var tokenAttachments = Links()

    var fences = Slab<PendingFence>()
    var fenceSlots = NumberTable<FenceID>()
    var bufferFences = Links()
    var clientFences = Links()

    var waits = Slab<Wait>()
    var bufferWaits = Links()
    var clientWaits = Links()

    var tickets = Slab<Ticket>()
    var claims = Slab<Claim>()
    var bufferClaims = Links()
    var ticketClaims = Links()

    var revocations = Slab<Revocation>()
    var bufferRevocations = Links()

    var quarantined = Slab<Quarantined>()
    var bufferQuarantine = Links()

    var tokens = Slab<Token>()
    var tokenSlots: [TokenID: Slot] = [:]
    var bufferTokens = Links()
    var parentTokens = Links()

    /// Until when attachments of before may say where they stand.
    var settling: Slot?
    var settlingEnd = Instant(nanoseconds: 0)

    var deadlines = Deadlines()
    /// Whether the server is hearing what may have been said in time, before anybody is late. Nothing is due meanwhile.
    public var isHearing = false
    /// When ``expire(at:into:)`` is due next; nil while nothing waits. As the last step left it.
    public private(set) var nextDeadline: Instant?

    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// A client whose identity the kernel has certified.
    public mutating func connect(
        _ identity: Identity, at now: Instant, into effects: inout Effects
    ) throws(Refusal) -> ClientID {
        self.now = max(self.now, now)
        return try admit(identity)
    }

    /// One request. It is answered once; a refusal is an answer, and nothing has changed then.
    public mutating func handle(
        _ request: Request, numbered number: RequestNumber, from client: ClientID, at now: Instant,
        into effects: inout Effects
    ) {
        beginStep(at: now, &effects)
        if let slot = clientSlots[client] { answer(request, Asker(client: slot, number: number)) }
        endStep(&effects)
    }

    public mutating func observe(_ observation: Observation, at now: Instant, into effects: inout Effects) {
        // What is due may begin a copy: the one reported here was begun before.
        let copied = buffer(copiedBy: observation)
        beginStep(at: now, &effects)
        switch observation {
        case .clientDied(let client): if let slot = clientSlots[client] { die(slot) }
        case .count(let buffer, let generation, let count): countSeen(buffer, generation, count)
        case .copyDone(let buffer, let generation, let backing):
            if copied != nil { copyDone(buffer, generation, backing) }
        case .copyFailed(let buffer, let generation): if copied != nil { copyFailed(buffer, generation) }
        case .fenceEnded(let fence, let end): fenceEnded(fence, end)
        case .delivered(let client, let notices): delivered(client, notices)
        case .accesses(let attachment, let count): accessesSeen(attachment, count)
        }
        endStep(&effects)
    }

    /// Everything whose deadline is at or before `now`, the earliest first.
    public mutating func expire(at now: Instant, into effects: inout Effects) {
        beginStep(at: now, &effects)
        endStep(&effects)
    }
}

/// Who asked, and under which number.
struct Asker: Sendable {
    var client: Slot
    var number: RequestNumber
}

extension Registry {
    /// The caller's effects are lent to the step by exchange: no copy, no allocation.
    ///
    /// What is due is done first, in every step: an answer that comes after its deadline is late, no matter in which order
    /// the server looked at its sockets and its timer. But not while it hears: then it is the server that may be late.
    private mutating func beginStep(at now: Instant, _ effects: inout Effects) {
        self.now = max(self.now, now)
        swap(&self.effects, &effects)
        guard !isHearing, let first = deadlines.first, first <= self.now else { return }
        while let subject = deadlines.popDue(at: self.now) { expire(subject) }
        settle()
    }

    private mutating func expire(_ subject: Deadlines.Subject) {
        switch subject {
        case .lease(let slot): leaseEnded(slot)
        case .move(let slot): moveExpired(slot)
        case .revocation(let slot): revocationExpired(slot)
        case .fence(let slot): fenceExpired(slot)
        case .wait(let slot): waitExpired(slot)
        case .ticket(let slot): ticketExpired(slot)
        case .token(let slot): tokenExpired(slot)
        case .look(let slot): lookAgain(slot)
        case .absence(let slot): absenceEnded(slot)
        case .settling: settlingEnded()
        }
    }

    private mutating func settle() {
        while !doomed.isEmpty || !unused.isEmpty {
            cutOffDoomed()
            endUnused()
        }
    }

    private mutating func answer(_ request: Request, _ asker: Asker) {
        do throws(Refusal) {
            if let answer = try decide(request, asker) { reply(asker, answer) }
        } catch {
            reply(asker, .refused(error))
        }
    }

    private mutating func endStep(_ effects: inout Effects) {
        settle()
        nextDeadline = deadlines.first
        swap(&self.effects, &effects)
    }

    /// A step that is neither a request nor an observation.
    mutating func step(at now: Instant, _ effects: inout Effects, _ body: (inout Registry) -> Void) {
        beginStep(at: now, &effects)
        body(&self)
        endStep(&effects)
    }

    mutating func freshNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    mutating func reply(_ asker: Asker, _ answer: consuming Answer) {
        // One that is about to be cut off still has its answers first.
        guard !clients[asker.client].isDead else { return }
        effects.append(.answer(clients[asker.client].id, asker.number, answer))
    }
}
