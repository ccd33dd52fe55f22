// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import DMABufModel

/// Something that the rules would never do to their tables, and what the walk says of it.
struct Corruption: Sendable, CustomTestStringConvertible {
    var problem: String
    var corrupt: @Sendable (inout BusyRegistry) -> Void

    init(_ problem: String, _ corrupt: @escaping @Sendable (inout BusyRegistry) -> Void) {
        self.problem = problem
        self.corrupt = corrupt
    }

    var testDescription: String { problem }
}

@Suite("Registry: consistency")
struct ConsistencyTests {
    @Test("a busy registry is consistent")
    func sound() throws {
        #expect(try BusyRegistry().registry.problems() == [])
    }

    @Test("each way of being inconsistent is found", arguments: Corruption.all)
    func found(_ corruption: Corruption) throws {
        var busy = try BusyRegistry()
        corruption.corrupt(&busy)
        let problems = busy.registry.problems()
        #expect(problems.contains { $0.contains(corruption.problem) }, "\(problems)")
    }
}

extension Corruption {
    static let all = indices + clients + attachments + buffers + moves + generations + fences + locks + tokens + ledgers

    private static let indices = [
        Corruption("a step has left something over") { $0.registry.unused.append(BufferID(high: 0, low: 1)) },
        Corruption("clients by number") { $0.registry.clientSlots[ClientID(99)] = 0 },
        Corruption("buffers by number") { $0.registry.bufferSlots[BufferID(high: 0, low: 1)] = $0.moving },
        Corruption("attachments by number") { $0.registry.attachmentSlots = NumberTable() },
        Corruption("fences by number") { $0.registry.fenceSlots[FenceID(99)] = 0 },
        Corruption("tokens by number") { $0.registry.tokenSlots[TokenID(high: 0, low: 1)] = $0.tokens[1] },
        Corruption("users by uid") { $0.registry.userSlots[1000] = nil },
        Corruption("names and buffers disagree") { $0.registry.buffers[$0.plain].names.append("other") },
        Corruption("name screen leads astray") {
            $0.registry.names[NameKey(uid: 1000, name: "screen")] = $0.moving
        },
        Corruption("name screen leads to a buffer that has ended") {
            $0.registry.names[NameKey(uid: 1000, name: "screen")] = $0.ended
        },
    ]

    private static let clients = [
        Corruption("is dead and still known") { $0.registry.clients[$0.clients.owner].isDead = true },
        Corruption("reads too slowly") { $0.registry.clients[$0.clients.owner].unread = 4097 },
        Corruption("a list holds what is not its own") {
            $0.registry.attachments[$0.attachment($0.plain)].client = $0.clients.owner
        },
        Corruption("a list has lost count") {
            var copy = $0.registry.buffers[$0.plain].fences
            $0.registry.bufferFences.remove($0.fences[1], from: &copy)
        },
        Corruption("has another's ticket") { $0.registry.clients[$0.clients.other].ticket = $0.tickets[0] },
        Corruption("a wait belongs to nobody") {
            _ = $0.registry.waits.insert($0.registry.waits[$0.wait($0.plain)])
        },
        Corruption("has miscounted its clients") { $0.registry.users[0].clients += 1 },
        Corruption("uid 77 is gone and still known") {
            $0.registry.userSlots[77] = $0.registry.users.insert(User(uid: 77))
        },
    ]

    private static let attachments = [
        Corruption("is to a buffer that has ended") { $0.registry.buffers[$0.plain].isEnding = true },
        Corruption("is held by the dead") { $0.registry.clientSlots[ClientID(2)] = nil },
        Corruption("is of a generation that was never live") {
            $0.registry.attachments[$0.attachment($0.plain)].generation = Generation(9)
        },
        Corruption("is revoked and inside an access") {
            $0.registry.attachments[$0.attachment($0.moving)].state = .revoked
        },
        Corruption("is revoked and waited for") { $0.registry.attachments[$0.attachment($0.moving)].state = .revoked },
        Corruption("is revoked and pins") { $0.registry.attachments[$0.attachment($0.pinned)].state = .revoked },
        Corruption("is revoked twice") {
            $0.registry.attachments[$0.attachment($0.revoking)].state = .revoked
            $0.registry.attachments[$0.attachment($0.revoking)].isBarred = true
        },
        Corruption("owes for no move") { $0.registry.attachments[$0.attachment($0.plain)].owesMove = true },
        Corruption("uses an old generation") { $0.registry.attachments[$0.attachment($0.moved)].accesses = 1 },
        Corruption("has reached its end and goes on") {
            $0.registry.attachments[$0.attachment($0.plain)].isCondemned = true
        },
        Corruption("is in another's revocation") {
            $0.registry.attachments[$0.attachment($0.plain)].revocation = $0.revocation
        },
        Corruption("is charged for memory that is free") {
            $0.registry.attachments[$0.attachment($0.plain)].isSuspect = true
        },
    ]

    private static let buffers = [
        Corruption("has miscounted the live") { $0.registry.buffers[$0.plain].live += 1 },
        Corruption("has miscounted its pins") { $0.registry.buffers[$0.pinned].pinned += 1 },
        Corruption("has miscounted its slots") { $0.registry.buffers[$0.plain].reserved += 1 },
        Corruption("a wait has lost count") {
            $0.registry.waits[$0.wait($0.plain)].reason = .fences(.write, before: 9, remaining: 9, .ok)
        },
        Corruption("someone waits without an end") { $0.registry.waits[$0.wait($0.plain)].timer = nil },
        Corruption("someone waits without an end") { $0.registry.buffers[$0.moving].move = nil },
        Corruption("a revocation has lost count") { $0.registry.revocations[$0.revocation].owing += 1 },
        Corruption("a revocation waits for nobody") {
            $0.registry.attachments[$0.attachment($0.revoking)].revocation = nil
            $0.registry.revocations[$0.revocation].owing = 0
        },
        Corruption("a revocation has no end") { $0.registry.revocations[$0.revocation].timer = nil },
        Corruption("is owned by the dead") { $0.registry.clientSlots[ClientID(1)] = nil },
        Corruption("has ended and has an owner") { $0.registry.buffers[$0.ended].owner = $0.clients.owner },
        Corruption("has ended and is in use") { $0.registry.buffers[$0.ended].names = ["other"] },
        Corruption("has ended and nobody looks at it") {
            let old = $0.quarantined($0.ended)
            $0.registry.bufferQuarantine.remove(old, from: &$0.registry.buffers[$0.ended].quarantine)
        },
        Corruption("is kept by nobody") { $0.registry.buffers[$0.plain].owner = nil },
    ]

    private static let moves = [
        Corruption("a move's end was not told") { $0.registry.buffers[$0.moving].move = nil },
        Corruption("is moved by the dead") { $0.registry.clientSlots[ClientID(1)] = nil },
        Corruption("a move has lost count") { $0.registry.buffers[$0.moving].move?.owing += 1 },
        Corruption("is pinned and moves") { $0.registry.buffers[$0.moving].pinned = 1 },
        Corruption("a move waits for nobody") { $0.registry.buffers[$0.moving].move?.timer = nil },
        Corruption("a move waits for no fence") { $0.registry.buffers[$0.moving].move?.phase = .fencing },
        Corruption("is copied in use") { $0.registry.buffers[$0.moving].move?.phase = .copying },
    ]

    private static let generations = [
        Corruption("has not one live generation") { $0.registry.buffers[$0.plain].isSuspect = true },
        Corruption("has not one live generation") { $0.registry.buffers[$0.ended].isReleased = true },
        Corruption("has a generation twice") { $0.quarantine([.first]) },
        Corruption("has a generation too new") {
            $0.registry.quarantined[$0.quarantined($0.moved)].generation = Generation(9)
        },
        Corruption("live memory is in quarantine") { $0.registry.buffers[$0.moved].backing.inode = 5 },
        Corruption("has too much in quarantine") { $0.quarantine([Generation(7), Generation(8), Generation(9)]) },
        Corruption("suspects miscounted") { $0.registry.quarantined[$0.quarantined($0.moved)].suspects += 1 },
        Corruption("nobody carries the quarantine") {
            $0.registry.attachments[$0.attachment($0.moved)].isSuspect = false
            $0.registry.quarantined[$0.quarantined($0.moved)].suspects = 0
        },
        Corruption("nobody looks at the quarantine") { $0.registry.quarantined[$0.quarantined($0.moved)].timer = nil },
    ]

    private static let fences = [
        Corruption("has no end") { $0.registry.fences[$0.fences[0]].timer = nil },
        Corruption("is promised by the dead") { $0.registry.clientSlots[ClientID(2)] = nil },
        Corruption("shares its context with 1 others") { $0.registry.fences[$0.fences[1]].timeline = 1 },
        Corruption("is a dead owner's eventfd") {
            $0.registry.fences[$0.fences[0]].client = nil
            $0.registry.fences[$0.fences[0]].kind = .eventFD
        },
        Corruption("a fence belongs to no buffer") { _ = $0.registry.fences.insert($0.registry.fences[$0.fences[0]]) },
    ]

    private static let locks = [
        Corruption("is held by the dead") { $0.registry.clients[$0.clients.owner].ticket = nil },
        Corruption("has no end") { $0.registry.tickets[$0.tickets[0]].timer = nil },
        Corruption("is granted beside another") { $0.registry.tickets[$0.tickets[1]].isGranted = true },
        Corruption("is first everywhere and not granted") { $0.registry.tickets[$0.tickets[0]].isGranted = false },
        Corruption("a claim belongs to no ticket") {
            _ = $0.registry.claims.insert(Claim(ticket: $0.tickets[0], buffer: $0.locked))
        },
    ]

    private static let tokens = [
        Corruption("a token's end is not watched") { $0.registry.tokens[$0.tokens[0]].timer = nil },
        Corruption("a token is wider than what it comes from") { $0.registry.tokens[$0.tokens[1]].rights = .all },
        Corruption("a token is for another buffer than its parent") {
            $0.registry.tokens[$0.tokens[1]].buffer = $0.moving
        },
    ]

    private static let ledgers = [
        Corruption("the ledger of uid 1000 is wrong") { $0.registry.users[0].ledger.bytes += 1 },
        Corruption("the sum of the ledgers is wrong") { $0.registry.used.bytes += 1 },
        Corruption("a deadline belongs to nobody") {
            _ = $0.registry.deadlines.add(Instant(nanoseconds: 1), for: .move($0.plain))
        },
        Corruption("a deadline belongs to two") {
            $0.registry.fences[$0.fences[0]].timer = $0.registry.fences[$0.fences[1]].timer
        },
    ]
}

extension BusyRegistry {
    /// More of the moved buffer's generations in quarantine.
    fileprivate mutating func quarantine(_ generations: [Generation]) {
        for generation in generations {
            var entry = registry.quarantined[quarantined(moved)]
            entry.generation = generation
            let slot = registry.quarantined.insert(entry)
            registry.bufferQuarantine.append(slot, to: &registry.buffers[moved].quarantine)
        }
    }
}
