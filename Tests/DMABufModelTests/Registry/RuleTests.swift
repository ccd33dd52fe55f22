// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

@Suite("Registry: identity, rights, lifetime")
struct RuleTests {
    @Test("who is who")
    func identity() throws {
        var story = Story()
        #expect(throws: Refusal.overflowUID) { _ = try story.connect(uid: 65534) }
        let (first, second) = (try story.connect(), try story.connect())
        #expect(first != second)
        let buffer = story.register(by: first)
        let attachment = try story.attach(buffer, by: second)
        #expect(story.ask(first, .detach(attachment)) == .refused(.noSuchAttachment))
        story.ask(first, .beginMove(buffer, .first, MoveTerms(within: .seconds(1))))
        story.ask(first, .commitMove(buffer, .first, Backing(inode: 99, byteCount: 4096), fence: nil))
        let stale = Answer.refused(.stale(current: Generation(2)))
        #expect(story.ask(second, .beginAccess(attachment, .first, .read)) == stale)
        #expect(story.ask(second, .beginAccess(attachment, Generation(2), .read)) == stale)
        #expect(story.ask(first, .beginMove(buffer, .first, MoveTerms(within: .seconds(1)))) == stale)
    }

    @Test("who is who: no more clients than the limit")
    func clientLimit() throws {
        var limits = Limits()
        limits.clients = 1
        var story = Story(limits)
        let only = try story.connect()
        #expect(throws: Refusal.tooMany(.clients, limit: 1)) { _ = try story.connect() }
        story.observe(.clientDied(only))
        #expect(throws: Never.self) { _ = try story.connect() }
    }

    @Test("rights")
    func rights() throws {
        var story = Story()
        let owner = try story.connect()
        let other = try story.connect(uid: 1001, gids: [44])
        let buffer = story.register(by: owner)
        let missing = BufferID(high: 7, low: 7)
        #expect(story.ask(other, .attach(buffer, AttachTerms(.read))) == .refused(.noSuchBuffer))
        #expect(story.ask(other, .attach(missing, AttachTerms(.read))) == .refused(.noSuchBuffer))
        story.ask(owner, .share(buffer, Share(.group(44), .attachRead)))
        #expect(
            story.ask(other, .attach(buffer, AttachTerms(.readWrite))) == .refused(.forbidden(missing: .attachWrite)))
        let attachment = try story.attach(buffer, by: other, AttachTerms(.read))
        #expect(story.ask(other, .reserve(attachment, slots: 1)) == .refused(.forbidden(missing: .fence)))
        #expect(story.ask(other, .pin(attachment)) == .refused(.forbidden(missing: .pin)))
        #expect(story.ask(other, .withdraw(buffer)) == .refused(.notTheOwner))
        #expect(
            story.ask(other, .revoke(buffer, RevokeTerms(.everyone, within: .seconds(1))))
                == .refused(.forbidden(missing: .revoke)))
    }

    @Test("names")
    func names() throws {
        var limits = Limits()
        limits.namesPerBuffer = 1
        var story = Story(limits)
        let owner = try story.connect()
        let other = try story.connect(uid: 1001)
        let buffer = story.register(by: owner, kept: .registry)
        #expect(story.ask(owner, .name(buffer, "")) == .refused(.malformed))
        #expect(story.ask(owner, .name(buffer, "screen")) == .done)
        #expect(story.ask(owner, .name(buffer, "screen")) == .refused(.nameTaken))
        #expect(story.ask(owner, .name(buffer, "more")) == .refused(.tooMany(.names, limit: 1)))
        #expect(story.ask(owner, .lookup("screen", uid: nil)) == .found(buffer, .first))
        #expect(story.ask(other, .lookup("screen", uid: 1000)) == .refused(.noSuchBuffer))
        story.ask(owner, .share(buffer, Share(.everyone, .attachRead)))
        #expect(story.ask(other, .lookup("screen", uid: 1000)) == .found(buffer, .first))
        story.ask(owner, .withdraw(buffer))
        #expect(story.ask(owner, .lookup("screen", uid: nil)) == .refused(.noSuchBuffer))
    }

    @Test("tokens")
    func tokens() throws {
        var story = Story()
        let owner = try story.connect()
        let other = try story.connect(uid: 1001)
        let buffer = story.register(by: owner)
        let token = TokenID(high: 0, low: 1)
        #expect(story.ask(owner, .makeToken(token, buffer, TokenTerms(.attachRead, uses: 1))) == .done)
        #expect(story.ask(owner, .makeToken(token, buffer, TokenTerms(.attachRead))) == .refused(.numberTaken))
        _ = try story.attach(buffer, by: other, AttachTerms(.read, token: token))
        #expect(story.ask(other, .attach(buffer, AttachTerms(.read, token: token))) == .refused(.noSuchBuffer))
        #expect(story.ask(other, .withdrawToken(token)) == .refused(.noSuchToken))
    }

    @Test("tokens: expiry revokes what was made with them")
    func tokenExpiry() throws {
        var story = Story()
        let owner = try story.connect()
        let other = try story.connect(uid: 1001)
        let buffer = story.register(by: owner)
        let (parent, child) = (TokenID(high: 0, low: 1), TokenID(high: 0, low: 2))
        story.ask(owner, .makeToken(parent, buffer, TokenTerms([.attachRead, .delegate], lasts: .seconds(1))))
        // Asked for longer than its parent, it lasts as long.
        story.ask(other, .makeToken(child, buffer, TokenTerms(.attachRead, lasts: .seconds(9), parent: parent)))
        let attachment = try story.attach(buffer, by: other, AttachTerms(.read, token: child))
        let notices = story.pass(.seconds(1)).notices(to: other)
        #expect(notices == [.revoke(attachment, buffer, isFinal: true, until: Instant(nanoseconds: 1_500_000_000))])
        #expect(story.ask(other, .acknowledgeRevoke(attachment)) == .done)
        #expect(story.ask(other, .map(attachment)) == .refused(.dead))
        #expect(story.ask(owner, .withdrawToken(child)) == .refused(.noSuchToken))
    }

    @Test("a move ends with its token")
    func moveOfToken() throws {
        var story = Story()
        let owner = try story.connect()
        let other = try story.connect(uid: 1001)
        let buffer = story.register(by: owner)
        let (first, second) = (TokenID(high: 0, low: 1), TokenID(high: 0, low: 2))
        let move = Request.beginMove(buffer, .first, MoveTerms(within: .seconds(1), token: first))
        for withdrawn in [first, second] {
            story.ask(owner, .makeToken(first, buffer, TokenTerms(.move)))
            story.ask(owner, .makeToken(second, buffer, TokenTerms(.move)))
            story.ask(other, move)
            let told = story.effects(of: .withdrawToken(withdrawn), by: owner).notices(to: other)
            #expect(told == (withdrawn == first ? [.moveEnded(buffer, .aborted(.tokenEnded))] : []))
        }
    }

    @Test("tokens: an attachment made with one lends its rights to no other")
    func tokenRightsStay() throws {
        var story = Story()
        let owner = try story.connect()
        let other = try story.connect(uid: 1001)
        let buffer = story.register(by: owner)
        let token = TokenID(high: 0, low: 1)
        story.ask(owner, .makeToken(token, buffer, TokenTerms(.attachRead)))
        _ = try story.attach(buffer, by: other, AttachTerms(.read, token: token))
        #expect(story.ask(other, .attach(buffer, AttachTerms(.read))) == .refused(.noSuchBuffer))
    }

    @Test("lifetime", arguments: Kept.allCases)
    func lifetime(kept: Kept) throws {
        var story = Story()
        let (owner, other) = (try story.connect(), try story.connect())
        let buffer = story.register(by: owner, kept: kept)
        let attachment = try story.attach(buffer, by: other)
        let told = story.observe(.clientDied(owner)).notices(to: other)
        #expect(told == [kept == .owner ? .attachmentEnded(attachment, buffer) : .ownerGone(attachment, buffer)])
        story.ask(other, .detach(attachment))
        let lives = story.ask(other, .attach(buffer, AttachTerms(.read))) != .refused(.noSuchBuffer)
        #expect(lives == (kept == .registry))
        if kept == .registry { story.ask(other, .withdraw(buffer)) }
        story.observe(.clientDied(other))
        #expect(story.observe(.count(buffer, .first, .atBaseline)) == [.release(buffer, .first, isVerified: true)])
        #expect(story.registry.ledger.isZero)
    }

    @Test("release is verified")
    func release() throws {
        var story = Story()
        let owner = try story.connect()
        let buffer = story.register(by: owner)
        let look = Effect.verifyRelease(buffer, .first)
        #expect(story.effects(of: .withdraw(buffer), by: owner).contains(look))
        // 1, 2, 4, … ms, and then once a second.
        for wait in [1, 2, 4, 8] as [UInt64] {
            #expect(story.observe(.count(buffer, .first, .raised(by: 1))).isEmpty)
            #expect(story.pass(.milliseconds(wait)) == [look])
        }
        #expect(story.observe(.count(buffer, .first, .atBaseline)) == [.release(buffer, .first, isVerified: true)])
        #expect(story.registry.nextDeadline == nil)
        #expect(story.registry.ledger.isZero)
    }

    @Test("release is verified: memory that cannot tell goes back unverified, when nobody is attached to it")
    func untold() throws {
        var story = Story()
        let (owner, other) = (try story.connect(), try story.connect())
        let buffer = BufferID(high: 0, low: 1)
        let backing = Backing(inode: 1, byteCount: 4096, provesRelease: false)
        story.ask(owner, .register(buffer, Registration(backing: backing, kept: .owner)))
        let attachment = try story.attach(buffer, by: other)
        story.ask(owner, .beginMove(buffer, .first, MoveTerms(within: .seconds(1))))
        story.ask(owner, .commitMove(buffer, .first, Backing(inode: 2, byteCount: 4096), fence: nil))
        #expect(story.registry.ledger.quarantinedBytes == 4096)
        // A count at its baseline proves nothing here: a live mapping at count 1 was seen.
        #expect(story.observe(.count(buffer, .first, .atBaseline)).isEmpty)
        story.ask(other, .map(attachment))
        #expect(story.observe(.count(buffer, .first, .untold)).first == .release(buffer, .first, isVerified: false))
        #expect(story.registry.ledger.quarantinedBytes == 0)
    }

    @Test("death")
    func death() throws {
        var story = Story()
        let (owner, other) = (try story.connect(), try story.connect())
        let buffer = story.register(by: owner, kept: .registry)
        let (mine, theirs) = (try story.attach(buffer, by: owner), try story.attach(buffer, by: other))
        story.ask(other, .beginAccess(theirs, .first, .write))
        _ = try story.addFence(theirs, by: other, FenceTerms(timeline: 1, point: 1, usage: .write, kind: .eventFD))
        #expect(story.ask(other, .lock([buffer], within: .seconds(1), lasting: .seconds(1))) != nil)
        #expect(story.ask(owner, .lock([buffer], within: .seconds(1), lasting: .seconds(1))) == nil)
        #expect(story.ask(owner, .wait(mine, .write, within: .seconds(1))) == nil)
        let effects = story.observe(.clientDied(other))
        let answers: [Answer] = effects.compactMap {
            if case .answer(owner, _, let answer) = $0 { answer } else { nil }
        }
        #expect(answers.contains(.waited(.ownerDead)))
        #expect(answers.contains { if case .locked = $0 { true } else { false } })
        #expect(story.observe(.clientDied(other)).isEmpty)
    }

    @Test("quarantine of the suspect")
    func suspect() throws {
        var story = Story()
        let (owner, other) = (try story.connect(), try story.connect())
        let buffer = story.register(by: owner)
        let (mine, theirs) = (try story.attach(buffer, by: owner), try story.attach(buffer, by: other))
        _ = try story.addFence(theirs, by: other, FenceTerms(timeline: 1, point: 1, usage: .write))
        story.observe(.clientDied(other))
        #expect(story.pass(.seconds(2)).notices(to: owner) == [.quarantined(buffer, .first)])
        let refusal = Answer.refused(.quarantined(suspects: [Holder(mine, owner)]))
        #expect(story.ask(owner, .attach(buffer, AttachTerms(.read))) == refusal)
        #expect(story.ask(owner, .map(mine)) == refusal)
        #expect(story.ask(owner, .lock([buffer], within: .seconds(1), lasting: .seconds(1))) == refusal)
        #expect(story.ask(owner, .beginMove(buffer, .first, MoveTerms(within: .seconds(1)))) == refusal)
        story.observe(.count(buffer, .first, .atBaseline))
        #expect(story.ask(owner, .attach(buffer, AttachTerms(.read))) == refusal, "someone is still attached")
        story.ask(owner, .detach(mine))
        story.observe(.count(buffer, .first, .atBaseline))
        _ = try story.attach(buffer, by: owner)
    }
}

@Suite("Registry: conditions")
struct ConditionTests {
    @Test("a ceiling holds for its uid alone, and for each resource by itself", arguments: Resource.allCases)
    func ceilings(resource: Resource) throws {
        var story = Story()
        let (greedy, other) = (try story.connect(uid: 1001), try story.connect(uid: 1002))
        var conditions = Conditions()
        conditions.ceilings[resource] = Ceiling(limit: 0, line: 3)
        story.registry.impose(conditions, on: greedy)
        let mine = BufferID(high: 0, low: 1)
        let backing = Backing(inode: 1, byteCount: 4096)
        let answer = story.ask(greedy, .register(mine, Registration(backing: backing, kept: .owner)))
        switch resource {
        case .buffers, .bytes, .descriptors:
            #expect(
                answer == .refused(.overCeiling(CeilingExcess(resource: resource, line: 3, limit: 0, share: 0))))
        default: #expect(answer == .registered(mine, .first))
        }
        _ = story.register(2, by: other)
        #expect(story.registry.ledger(of: 1002).buffers == 1)
    }

    @Test("pinning goes up to the ceiling and not over it")
    func pins() throws {
        var story = Story()
        let client = try story.connect()
        var conditions = Conditions()
        conditions.ceilings[.pinnedBytes] = Ceiling(limit: 4096, line: 5)
        story.registry.impose(conditions, on: client)
        let attachment = try story.attach(story.register(by: client), by: client)
        let second = try story.attach(story.register(2, by: client), by: client)
        #expect(story.ask(client, .pin(attachment)) == .done)
        let excess = CeilingExcess(resource: .pinnedBytes, line: 5, limit: 4096, share: 4096)
        #expect(story.ask(client, .pin(second)) == .refused(.overCeiling(excess)))
        story.ask(client, .unpin(attachment))
        #expect(story.ask(client, .pin(second)) == .done)
    }

    @Test("whose a buffer is, is said to those alone who may know that it is there")
    func owners() throws {
        var story = Story()
        let owner = try story.connect(uid: 1000)
        let (friend, stranger) = (try story.connect(uid: 1001), try story.connect(uid: 1002))
        let buffer = story.register(by: owner)
        story.ask(owner, .share(buffer, Share(.user(1001), [.attachRead, .revoke])))
        let attachment = try story.attach(buffer, by: friend, AttachTerms(.read))
        let revoke = Request.revoke(buffer, RevokeTerms(.everyone, within: .seconds(1)))
        for request in [revoke, .attach(buffer, AttachTerms(.read)), .restore(attachment)] {
            #expect(story.registry.owner(concerning: request, from: owner) == 1000)
            #expect(story.registry.owner(concerning: request, from: friend) == 1000)
            #expect(story.registry.owner(concerning: request, from: stranger) == nil)
        }
        #expect(story.registry.owner(concerning: .pin(attachment), from: friend) == 1000)
        let renewal = Request.renewFence(attachment, timeline: 1, within: .seconds(1))
        #expect(story.registry.owner(concerning: renewal, from: friend) == 1000)
        #expect(story.registry.owner(concerning: .pin(attachment), from: owner) == nil)
        let token = TokenID(high: 0, low: 1)
        story.ask(owner, .makeToken(token, buffer, TokenTerms(.attachRead)))
        let shown = Request.attach(buffer, AttachTerms(.read, token: token))
        #expect(story.registry.owner(concerning: shown, from: stranger) == 1000)
    }
}
