// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

/// Rules: what survives, and how a registry begins with it.
@Suite("What survives a restart")
struct SurvivingTests {
    /// The registry after its process has died and another has taken its place.
    private static func restarted(
        _ story: Story, _ limits: Limits = Limits(), from number: UInt64 = 1 << 40
    ) -> (Registry, [Effect]) {
        var (registry, effects) = (Registry(limits: limits), Effects())
        registry.restore(story.registry.durable, numbersFrom: number, at: story.now, into: &effects)
        #expect(registry.problems() == [])
        return (registry, effects.list)
    }

    /// What each step says has changed, put together as whoever writes it down does.
    private struct Written {
        var clients: [ClientID: DurableClient] = [:]
        var buffers: [BufferID: DurableBuffer] = [:]
        var tokens: [TokenID: DurableToken] = [:]
        var attachments: [AttachmentID: DurableAttachment] = [:]

        mutating func note(_ registry: inout Registry) {
            for change in registry.takeChanges() {
                switch change {
                case .client(let id): clients[id] = registry.durable(id)
                case .buffer(let id): buffers[id] = registry.durable(id)
                case .token(let id): tokens[id] = registry.durable(id)
                case .attachment(let id): attachments[id] = registry.durable(id)
                }
            }
        }

        func agrees(with all: Durable) -> Bool {
            Set(clients.values) == Set(all.clients) && Set(buffers.values) == Set(all.buffers)
                && Set(tokens.values) == Set(all.tokens) && Set(attachments.values) == Set(all.attachments)
        }
    }

    @Test("every step says all that it has changed", arguments: 0..<20 as Range<UInt64>)
    func changes(seed: UInt64) {
        var steps = RandomSteps(seed: seed)
        steps.registry.keepsChanges = true
        var written = Written()
        for _ in 0..<400 {
            _ = steps.step()
            written.note(&steps.registry)
            guard written.agrees(with: steps.registry.durable) else {
                Issue.record("\(steps.history.suffix(12).joined(separator: "\n"))")
                return
            }
        }
    }

    @Test(
        "whenever it dies, the next one begins with what survived, and all is told in its end",
        arguments: 0..<20 as Range<UInt64>)
    func restart(seed: UInt64) {
        var steps = RandomSteps(seed: seed)
        for step in 0..<400 {
            _ = steps.step()
            guard step % 10 == 0 else { continue }
            let before = steps.registry.durable
            var (registry, effects) = (Registry(limits: steps.registry.limits), Effects())
            registry.restore(before, numbersFrom: 1 << 40, at: steps.now, into: &effects)
            let after = registry.durable
            var problems = registry.problems()
            if before.clients != after.clients || Set(before.buffers) != Set(after.buffers) {
                problems.append("a client or a buffer is not what it was")
            }
            if Set(before.attachments.map(\.id)) != Set(after.attachments.map(\.id)) { problems.append("attachments") }
            // Nobody comes back.
            registry.expire(at: steps.now + .seconds(11), into: &effects)
            registry.expire(at: steps.now + .seconds(40), into: &effects)
            problems += registry.problems()
            let left = registry.durable
            if !left.clients.isEmpty || !left.attachments.isEmpty
                || left.buffers.contains(where: { $0.kept != .registry })
            {
                problems.append("what nobody keeps is still there: \(left)")
            }
            guard problems.isEmpty else {
                Issue.record("\(problems)\n\(steps.history.suffix(12).joined(separator: "\n"))")
                return
            }
        }
    }

    @Test("who comes back has what it had; who does not is dead when the grace is over")
    func comingBack() throws {
        var story = Story()
        let (owner, holder) = (try story.connect(), try story.connect(uid: 1001))
        let (kept, owned) = (story.register(1, by: owner, kept: .registry), story.register(2, by: owner))
        story.ask(owner, .name(owned, "screen"))
        story.ask(owner, .share(owned, Share(.everyone, .all)))
        let attachment = try story.attach(owned, by: holder)
        var (registry, effects) = (Self.restarted(story).0, Effects())

        // Somebody else is not it, whatever it shows.
        #expect(!registry.comeBack(owner, as: Identity(uid: 1002, pid: 9), at: story.now, into: &effects))
        #expect(registry.comeBack(owner, as: Identity(uid: 1000, pid: 9), at: story.now, into: &effects))
        #expect(!registry.comeBack(owner, as: Identity(uid: 1000, pid: 9), at: story.now, into: &effects))
        effects.removeAll()
        registry.handle(
            .lookup("screen", uid: nil), numbered: RequestNumber(1), from: owner, at: story.now, into: &effects)
        #expect(effects.list.answer(to: owner) == .found(owned, .first))

        // The holder stays away.
        effects.removeAll()
        registry.expire(at: story.now + .seconds(10), into: &effects)
        #expect(registry.problems() == [] && registry.durable(attachment) == nil)
        #expect(registry.durable.clients.map(\.id) == [owner])
        registry.observe(.clientDied(owner), at: story.now + .seconds(11), into: &effects)
        #expect(registry.durable.buffers.map(\.id) == [kept] && registry.problems() == [])
        let newcomer = try registry.connect(Identity(uid: 1000, pid: 1), at: story.now, into: &effects)
        #expect(newcomer.rawValue > 1 << 40)
    }

    @Test(
        "who attaches again has never heard of the attachment that it has not spoken of; for others it waits",
        arguments: [false, true])
    func attachesAgain(isHeldByAnother: Bool) throws {
        var story = Story()
        let (owner, holder) = (try story.connect(), try story.connect())
        let id = story.register(1, by: owner)
        let lost = try story.attach(id, by: owner)
        if isHeldByAnother { _ = try story.attach(id, by: holder) }
        var (registry, effects) = (Self.restarted(story).0, Effects())
        #expect(registry.comeBack(owner, as: Identity(uid: 1000, pid: 9), at: story.now, into: &effects))
        effects.removeAll()
        registry.handle(
            .attach(id, AttachTerms(.readWrite)), numbered: RequestNumber(1), from: owner, at: story.now, into: &effects
        )
        let answer = effects.list.answer(to: owner)
        if isHeldByAnother {
            guard case .refused(.settling) = answer else { throw Unexpected(answer: answer) }
        } else {
            guard case .attached = answer else { throw Unexpected(answer: answer) }
        }
        #expect((registry.durable(lost) == nil) == !isHeldByAnother)
        #expect(registry.problems() == [])
    }

    private struct Unexpected: Error { let answer: Answer? }

    @Test("an attachment that is asked back is asked again when its client is here again")
    func askedAgain() throws {
        var story = Story()
        let (owner, holder) = (try story.connect(), try story.connect())
        let id = story.register(1, by: owner, kept: .registry)
        let attachment = try story.attach(id, by: holder)
        var (registry, effects) = (Self.restarted(story).0, Effects())
        _ = registry.comeBack(owner, as: Identity(uid: 1000, pid: 1), at: story.now, into: &effects)
        registry.handle(
            .revoke(id, RevokeTerms(.everyone, within: .seconds(1))), numbered: RequestNumber(1), from: owner,
            at: story.now, into: &effects)
        effects.removeAll()
        _ = registry.comeBack(holder, as: Identity(uid: 1000, pid: 1), at: story.now, into: &effects)
        let until = story.now + .seconds(1)
        #expect(effects.list.notices(to: holder) == [.revoke(attachment, id, isFinal: false, until: until)])
    }
}
