// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Follows a run from outside: takes what was done and what came of it, compares it with the ``World`` and brings the
/// world up to date. It throws at the first effect that should not be, or should have been.
package struct Checker: Sendable {
    package internal(set) var world = World()
    package internal(set) var tally = Tally()
    /// The label of the step under way.
    var label: UInt64 = 0
    /// Bits of a label that tell apart what one step brings.
    private var lastBits: UInt64 = 0
    /// The act of the step under way.
    var act = Act.expire
    /// The token that this step's request has used.
    var used: TokenID?
    /// Whether this step's request was refused.
    var isRefused = false
    /// Requests that were answered in this step.
    var answered: [OpenRequest] = []
    /// The fence whose slot was taken in this step.
    var replaced: SeenFence?
    /// Whether something was due when this step began.
    var isLate = false
    /// Buffers that a dead client's device may still be writing to, since this step.
    var suspects: [Int] = []
    /// Clients that this step has to cut off.
    var leaving: [Int] = []
    /// Releases of this step whose owner is to hear of it.
    var releases: [(buffer: Int, Generation)] = []
    /// Whether a fence was dropped in this step.
    var hasDropped = false
    /// Whether the copy that this step reports was under way.
    private var hadCopy = false
    /// Moves that ended in this step.
    var ended: [Int] = []
    /// The tokens whose end, it was said, ended a move in this step.
    var lostLenders: [TokenID] = []
    /// The move that began in this step.
    var begun: Int?
    /// Clients that are cut off in this step.
    private var cutOff: [ClientID] = []
    /// A descriptor whose answer is still to come.
    var passing: (ClientID, AttachmentID, Generation, buffer: BufferID)?

    let limits: Limits

    init(_ limits: Limits) { self.limits = limits }

    mutating func nextLabel() -> UInt64 {
        lastBits = (lastBits + 1) & 15
        return label | lastBits
    }

    var isConnection: Bool { if case .connect = act { true } else { false } }

    /// What is about to be done.
    mutating func begin(_ act: Act, _ step: Int, at now: Instant, isLate: Bool) {
        world.now = now
        label = UInt64(step) << 4
        lastBits = 0
        self.act = act
        // What is due is done first in every step but that of a connection.
        if !isConnection {
            expireTokens()
            endLeases()
        }
        self.isLate = isLate
        isRefused = false
        used = nil
        replaced = nil
        suspects.removeAll(keepingCapacity: true)
        leaving.removeAll(keepingCapacity: true)
        releases.removeAll(keepingCapacity: true)
        hasDropped = false
        cutOff.removeAll(keepingCapacity: true)
        answered.removeAll(keepingCapacity: true)
        ended.removeAll(keepingCapacity: true)
        lostLenders.removeAll(keepingCapacity: true)
        begun = nil
        switch act {
        case .request(let peer, let number, let request):
            tally.count(request)
            world.nextRequest += 1
            var open = OpenRequest(label: label, number: number, request: request, asked: now)
            if case .lock(let ids, _, _) = request { open.ahead = ticketsAhead(of: ids) }
            world.peers[peer].open.append(open)
        case .observe(let observation):
            tally.count(observation)
            observed(observation)
        case .connect, .expire: break
        }
    }

    private mutating func observed(_ observation: Observation) {
        switch observation {
        case .clientDied(let id): if let peer = world.peer(id), world.peers[peer].isAlive { died(peer) }
        case .count(let buffer, let generation, _):
            if let look = world.looks.firstIndex(where: { $0.buffer == buffer && $0.generation == generation }) {
                world.looks.remove(at: look)
            }
        case .copyDone(let buffer, let generation, _), .copyFailed(let buffer, let generation):
            hadCopy = world.copies.contains { $0.buffer == buffer && $0.generation == generation }
            world.copies.removeAll { $0.buffer == buffer && $0.generation == generation }
        case .fenceEnded(let id, let end): signalled(id, end)
        case .accesses(let id, let count): counted(id, Int(count))
        case .delivered(let id, let count): if let peer = world.peer(id) { world.peers[peer].unread -= Int(count) }
        }
    }

    mutating func connected(_ id: ClientID) throws(Violation) {
        guard case .connect(let identity) = act else { return }
        try expect(world.peer(id) == nil, .answeredOnce, "client \(id.rawValue) was there before")
        try expect(identity.uid != Identity.overflowUID, .rightsHold, "nobody in particular was admitted")
        let count = world.peers.count { $0.isAlive }
        try expect(count < Int(limits.clients), .fairShares, "\(count + 1) clients")
        world.peers.append(Peer(label: nextLabel(), id: id, identity: identity))
    }

    mutating func refused(connection refusal: Refusal) { tally.count(refusal) }

    /// What came of it, in order.
    mutating func follow(_ effects: [Effect]) throws(Violation) {
        try noteCommit(effects)
        for case .disconnect(let client, _) in effects { cutOff.append(client) }
        for index in effects.indices {
            tally.count(effects[index])
            try check(effects[index])
            if index > 0 { try checkUnlike(effects, index) }
        }
        if case .observe(.count(let buffer, let generation, let count)) = act { counted(buffer, generation, count) }
        try expect(passing == nil, .noOldGrant, "a descriptor was passed without an answer that says so")
    }

    /// The commit of a move is one step for everybody, whoever is told of it, and first.
    private mutating func noteCommit(_ effects: [Effect]) throws(Violation) {
        guard let (id, generation, backing) = committed(by: effects), let buffer = world.buffer(id),
            world.buffers[buffer].generation.next == generation
        else { return }
        try check(backing, for: buffer, effects)
        world.buffers[buffer].generation = generation
        world.buffers[buffer].backings.append(backing)
        moveEnded(buffer)
    }

    /// New memory is as large as the old, and none that anybody may still reach; who copies it commits it, when asked to.
    private func check(_ backing: Backing, for buffer: Int, _ effects: [Effect]) throws(Violation) {
        let seen = world.buffers[buffer]
        try expect(backing.byteCount == seen.byteCount, .oneGeneration, "moved to memory of another size")
        for (index, old) in seen.backings.enumerated() where old.inode == backing.inode {
            let isReleased = seen.released.contains(Generation(UInt64(index) + 1))
            try expect(isReleased, .oneGeneration, "moved to memory that is in use")
        }
        guard case .request(let peer, _, _) = act else { return }
        try expect(seen.mover == peer, .oneGeneration, "committed by one who does not move it")
        let isReady =
            seen.isReadyToCopy
            || effects.contains {
                if case .notify(_, .readyToCopy(seen.id, _, _, _)) = $0 { true } else { false }
            }
        try expect(isReady && !seen.isServers, .oneGeneration, "committed before the copy")
    }

    /// A mover's commit that is answered as done; a server's copy that is done and not thrown away.
    private func committed(by effects: [Effect]) -> (BufferID, Generation, Backing)? {
        switch act {
        case .request(_, let number, .commitMove(let id, let generation, let backing, _)):
            let isDone = effects.contains { if case .answer(_, number, .done) = $0 { true } else { false } }
            return isDone ? (id, generation.next, backing) : nil
        case .observe(.copyDone(let id, let generation, let backing)):
            let isKept = !effects.contains { $0 == .cancelCopy(id, generation) }
            return hadCopy && isKept ? (id, generation, backing) : nil
        default: return nil
        }
    }

    /// Who is cut off in this step hears no word more, so nothing may say that its moves ended before it did.
    func isOver(moveBy mover: Int?) -> Bool { mover.map(isCutOff) ?? true }

    func isCutOff(_ peer: Int) -> Bool { cutOff.contains(world.peers[peer].id) }

    /// No step says the same thing to the same client twice. Two moves of one buffer may be aborted in one step, one that
    /// is late and one that its mover asks for as it is cut off; that each was begun is checked with its end.
    private func checkUnlike(_ effects: [Effect], _ index: Int) throws(Violation) {
        guard case .notify(_, let notice) = effects[index] else { return }
        if case .moveAborted = notice { return }
        for earlier in effects.indices where earlier < index && effects[earlier] == effects[index] {
            throw Violation(.noticeOnce, "told twice in one step: \(effects[index])")
        }
    }

    private mutating func check(_ effect: Effect) throws(Violation) {
        switch effect {
        case .answer(let client, let number, let answer): try check(answer, number, to: client)
        case .notify(let client, let notice): try check(notice, to: client)
        case .passDescriptor(let id, let generation, let client, let attachment):
            try check(pass: id, generation, client, attachment)
        case .watchFence(let id): try watched(id)
        case .dropFence(let id): try dropped(id)
        case .importFence(let id, let buffer, let generation, let usage):
            try check(importing: id, buffer, generation, usage)
        case .startCopy(let id, let from, let to, _): try started(copy: id, from, to)
        case .cancelCopy(let id, let generation): try cancelled(copy: id, generation)
        case .verifyRelease(let id, let generation):
            let look = Look(label: nextLabel(), buffer: id, generation: generation)
            if !world.looks.contains(where: { $0.buffer == id && $0.generation == generation }) {
                world.looks.append(look)
            }
        case .release(let id, let generation, let isVerified): try released(id, generation, isVerified)
        case .disconnect(let client, _): try disconnected(client)
        case .publish(let id, let published): try self.published(id, published)
        case .kill: throw Violation(.fairShares, "a process is killed, and nobody asked for that")
        }
    }

    private mutating func disconnected(_ client: ClientID) throws(Violation) {
        guard let peer = world.peer(client), world.peers[peer].isAlive else {
            throw Violation(.deadHearNothing, "client \(client.rawValue) is cut off and was gone")
        }
        died(peer)
    }
}
