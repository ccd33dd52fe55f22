// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

@Suite("Registry: reservation, locks, quota")
struct ReservationTests {
    @Test("reservation")
    func reservation() throws {
        var limits = Limits()
        limits.fencesPerBuffer = 2
        var story = Story(limits)
        let client = try story.connect()
        let buffer = story.register(by: client)
        let attachment = try story.attach(buffer, by: client)
        let fence = FenceTerms(timeline: 1, point: 1, usage: .bookkeep)
        #expect(story.ask(client, .addFence(attachment, fence, lock: nil)) == .refused(.notReserved))
        #expect(story.ask(client, .reserve(attachment, slots: .max)) == .refused(.noSlots(limit: 2)))
        #expect(story.ask(client, .reserve(attachment, slots: 2)) == .done)
        #expect(story.ask(client, .reserve(attachment, slots: 1)) == .refused(.noSlots(limit: 2)))
        guard case .fenceAdded(let id) = story.ask(client, .addFence(attachment, fence, lock: nil)) else {
            throw Story.Unexpected()
        }
        #expect(story.ask(client, .snapshot(attachment, .read)) == .snapshot(.ok, []))
        #expect(story.ask(client, .snapshot(attachment, .bookkeep)) == .snapshot(.pending, [id]))
        // Newer, and promoted; a third of the same context needs no slot either, and does not degrade it.
        for (point, usage) in [(2, Usage.write), (3, .bookkeep)] as [(UInt64, Usage)] {
            let newer = FenceTerms(timeline: 1, point: point, usage: usage)
            guard case .fenceAdded(let now) = story.ask(client, .addFence(attachment, newer, lock: nil)) else {
                throw Story.Unexpected()
            }
            #expect(story.ask(client, .snapshot(attachment, .write)) == .snapshot(.pending, [now]))
        }
        #expect(story.ask(client, .addFence(attachment, fence, lock: nil)) == .refused(.notLater(than: 3)))
    }

    @Test("reservation: a fence outlives the attachment that added it")
    func outlives() throws {
        var story = Story()
        let (client, other) = (try story.connect(), try story.connect())
        let buffer = story.register(by: client)
        let attachment = try story.attach(buffer, by: other)
        let fence = try story.addFence(attachment, by: other, FenceTerms(timeline: 1, point: 1, usage: .write))
        story.ask(other, .detach(attachment))
        let mine = try story.attach(buffer, by: client)
        #expect(story.ask(client, .snapshot(mine, .write)) == .snapshot(.pending, [fence]))
    }

    @Test("snapshots")
    func snapshots() throws {
        var story = Story()
        let client = try story.connect()
        let buffer = story.register(by: client)
        let attachment = try story.attach(buffer, by: client)
        let first = try story.addFence(attachment, by: client, FenceTerms(timeline: 1, point: 1, usage: .write))
        #expect(story.ask(client, .wait(attachment, .write, within: .seconds(1))) == nil)
        let second = try story.addFence(attachment, by: client, FenceTerms(timeline: 2, point: 1, usage: .write))
        let third = try story.addFence(attachment, by: client, FenceTerms(timeline: 1, point: 2, usage: .write))
        #expect(story.ask(client, .snapshot(attachment, .write)) == .snapshot(.pending, [second, third]))
        #expect(story.observe(.fenceEnded(first, .ok)).answer(to: client) == .waited(.ok))
    }

    @Test("fences end")
    func ends() throws {
        var story = Story()
        let client = try story.connect()
        let buffer = story.register(by: client)
        let attachment = try story.attach(buffer, by: client)
        let write = try story.addFence(attachment, by: client, FenceTerms(timeline: 1, point: 1, usage: .write))
        #expect(story.pass(.seconds(2)).notices(to: client) == [.fenceExpired(write, buffer)])
        #expect(story.observe(.fenceEnded(write, .ok)).isEmpty)
        #expect(story.ask(client, .snapshot(attachment, .write)) == .snapshot(.error(110), []))
        // A read that ends well replaces nothing; a later write does.
        let read = try story.addFence(attachment, by: client, FenceTerms(timeline: 1, point: 2, usage: .read))
        story.observe(.fenceEnded(read, .ok))
        #expect(story.ask(client, .wait(attachment, .write, within: .seconds(1))) == .waited(.error(110)))
        let next = try story.addFence(attachment, by: client, FenceTerms(timeline: 1, point: 3, usage: .write))
        story.observe(.fenceEnded(next, .ok))
        #expect(story.ask(client, .snapshot(attachment, .bookkeep)) == .snapshot(.ok, []))
        let tooLong = FenceTerms(timeline: 1, point: 4, usage: .write, within: .seconds(11))
        #expect(story.ask(client, .addFence(attachment, tooLong, lock: nil)) == .refused(.tooLong(limit: .seconds(10))))
    }

    @Test("fences end: a merge keeps the worst end, and of two errors the first")
    func merges() {
        let all: [FenceStatus] = [.ok, .error(5), .error(110), .ownerDead, .pending]
        for (index, status) in all.enumerated() {
            #expect(status.merged(with: status) == status)
            #expect(FenceStatus.ok.merged(with: status) == status && status.merged(with: .ok) == status)
            #expect(all[...index].reduce(.ok) { $0.merged(with: $1) } == (index == 2 ? .error(5) : status))
        }
    }

    @Test("waits")
    func waits() throws {
        var story = Story()
        let client = try story.connect()
        let buffer = story.register(by: client)
        let attachment = try story.attach(buffer, by: client)
        #expect(story.ask(client, .wait(attachment, .read, within: .seconds(1))) == .waited(.ok))
        #expect(
            story.ask(client, .wait(attachment, .read, within: .seconds(11))) == .refused(.tooLong(limit: .seconds(10)))
        )
        let one = try story.addFence(attachment, by: client, FenceTerms(timeline: 1, point: 1, usage: .write))
        let two = try story.addFence(attachment, by: client, FenceTerms(timeline: 2, point: 1, usage: .read))
        #expect(story.ask(client, .wait(attachment, .read, within: .seconds(1))) == nil)
        #expect(story.pass(.seconds(1)).answer(to: client) == .refused(.timedOut(waitingFor: [one, two])))
        #expect(story.ask(client, .wait(attachment, .read, within: .seconds(1))) == nil)
        #expect(story.observe(.fenceEnded(one, .error(5))).isEmpty)
        #expect(story.observe(.fenceEnded(two, .ok)).answer(to: client) == .waited(.error(5)))
    }

    @Test("locks")
    func locks() throws {
        var story = Story()
        let (first, second, third) = (try story.connect(), try story.connect(), try story.connect())
        let (a, b) = (story.register(1, by: first), story.register(2, by: first))
        func lock(_ ids: [BufferID]) -> Request { .lock(ids, within: .seconds(1), lasting: .seconds(1)) }
        #expect(story.ask(first, lock([])) == .refused(.malformed))
        #expect(story.ask(first, lock([a, a])) == .refused(.malformed))
        guard case .locked(let number, _) = story.ask(first, lock([a])) else { throw Story.Unexpected() }
        #expect(story.ask(second, lock([a, b])) == nil)
        // b is free, but the older ticket wants it: a younger one does not overtake.
        #expect(story.ask(third, lock([b])) == nil)
        let move = story.ask(first, .beginMove(b, .first, MoveTerms(within: .seconds(1))))
        guard case .refused(.locked) = move else { throw Story.Unexpected() }
        let effects = story.effects(of: .unlock(number), by: first)
        guard case .locked(let next, _) = effects.answer(to: second) else { throw Story.Unexpected() }
        #expect(effects.answer(to: third) == nil)
        #expect(story.ask(first, .unlock(number)) == .refused(.lockEnded))
        #expect(story.ask(third, .unlock(next)) == .refused(.lockEnded))
        guard case .locked = story.observe(.clientDied(second)).answer(to: third) else { throw Story.Unexpected() }
    }

    @Test("locks: {A,B} against {B,A} takes turns, forever")
    func turns() throws {
        var story = Story()
        let clients = [try story.connect(), try story.connect()]
        let (a, b) = (story.register(1, by: clients[0]), story.register(2, by: clients[0]))
        var held: (ClientID, LockNumber)?
        var turns: [ClientID: Int] = [:]
        for round in 0..<1000 {
            let client = clients[round % 2]
            let ids = round % 2 == 0 ? [a, b] : [b, a]
            let now = story.ask(client, .lock(ids, within: .seconds(1), lasting: .seconds(1)))
            if case .locked(let number, _) = now { held = (client, number) }
            guard let (holder, number) = held, round > 0 else { continue }
            let effects = story.effects(of: .unlock(number), by: holder)
            turns[holder, default: 0] += 1
            held = nil
            for other in clients where other != holder {
                if case .locked(let number, _) = effects.answer(to: other) { held = (other, number) }
            }
        }
        #expect(abs((turns[clients[0]] ?? 0) - (turns[clients[1]] ?? 0)) <= 1, "\(turns)")
        #expect((turns[clients[0]] ?? 0) > 400)
    }

    @Test("fair shares")
    func shares() throws {
        var limits = Limits()
        limits.buffers = 1200
        var story = Story(limits)
        let greedy = try story.connect(uid: 1)
        var held: [UInt32: Int] = [:]
        var number: UInt64 = 0
        func take(_ client: ClientID, _ uid: UInt32) {
            while true {
                number += 1
                let registration = Registration(backing: Backing(inode: number, byteCount: 1))
                var effects = Effects()
                story.registry.handle(
                    .register(BufferID(high: 0, low: number), registration), numbered: RequestNumber(1), from: client,
                    at: story.now, into: &effects)
                guard case .registered = effects.list.answer(to: client) else { return }
                held[uid, default: 0] += 1
            }
        }
        take(greedy, 1)
        #expect(held[1] == 600, "one uid alone gets half")
        for uid in 2...5 as ClosedRange<UInt32> { take(try story.connect(uid: uid), uid) }
        // With n users the next gets about the (n+1)th part of what is left: nobody is shut out.
        #expect(held[2] == 200 && (held[5] ?? 0) > 30, "\(held)")
        #expect(story.registry.problems() == [])
        #expect(story.registry.ledger(of: 1).buffers == 600)
        #expect(story.registry.ledger(of: 99).isZero)
    }

    @Test("slow readers")
    func slowReaders() throws {
        var limits = Limits()
        limits.noticesPerClient = 3
        var story = Story(limits)
        let (owner, slow, quick) = (try story.connect(), try story.connect(), try story.connect())
        let buffer = story.register(by: owner)
        _ = try story.attach(buffer, by: slow)
        _ = try story.attach(buffer, by: quick)
        for round in 0..<2 {
            story.ask(owner, .beginMove(buffer, .first, MoveTerms(within: .seconds(1))))
            let effects = story.effects(of: .abortMove(buffer, .first), by: owner)
            story.observe(.delivered(quick, notices: 2))
            story.observe(.delivered(owner, notices: 9))
            #expect(effects.contains(.disconnect(slow, .slowReader)) == (round == 1))
        }
        #expect(story.ask(slow, .lookup("n", uid: nil)) == nil)
        #expect(story.ask(quick, .lookup("n", uid: nil)) == .refused(.noSuchBuffer))
    }

    @Test("ledgers are zero at teardown")
    func teardown() throws {
        var story = Story()
        let (owner, other) = (try story.connect(uid: 1), try story.connect(uid: 2))
        let buffer = story.register(by: owner)
        story.ask(owner, .share(buffer, Share(.everyone, .all)))
        _ = try story.attach(buffer, by: other, AttachTerms(.read, .pinned))
        #expect(!story.registry.ledger.isZero)
        story.observe(.clientDied(owner))
        story.observe(.clientDied(other))
        story.observe(.count(buffer, .first, .atBaseline))
        #expect(story.registry.ledger.isZero && story.registry.nextDeadline == nil)
    }
}
