// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

@Suite("Registry: attach, move, revoke")
struct AttachTests {
    @Test("attach")
    func attach() throws {
        var story = Story()
        let client = try story.connect()
        let buffer = story.register(by: client)
        #expect(story.ask(client, .attach(buffer, AttachTerms([]))) == .refused(.malformed))
        let effects = story.effects(of: .attach(buffer, AttachTerms(.read)), by: client)
        guard case .attached(let attachment, .first, .idle) = effects.answer(to: client) else {
            Issue.record("\(effects)")
            return
        }
        #expect(effects.first == .passDescriptor(buffer, .first, to: client, attachment))
        #expect(story.ask(client, .detach(attachment)) == .done)
        #expect(story.ask(client, .detach(attachment)) == .refused(.noSuchAttachment))
    }

    @Test("pin")
    func pin() throws {
        var limits = Limits()
        limits.pinnedBytes = 8192
        var story = Story(limits)
        let client = try story.connect()
        let buffer = story.register(by: client)
        let pinned = try story.attach(buffer, by: client, AttachTerms(.read, .pinned))
        #expect(story.registry.ledger(of: 1000).pinnedBytes == 4096)
        guard case .refused(.overQuota(let excess)) = story.ask(client, .attach(buffer, AttachTerms(.read, .pinned)))
        else { throw Story.Unexpected() }
        #expect(excess.resource == .pinnedBytes && excess.share == 4096 && excess.largest == 1000)
        let move = Request.beginMove(buffer, .first, MoveTerms(within: .seconds(1)))
        #expect(story.ask(client, move) == .refused(.pinned(by: [Holder(pinned, client)])))
        #expect(story.ask(client, .unpin(pinned)) == .done)
        #expect(story.registry.ledger(of: 1000).pinnedBytes == 0)
        guard case .moveBegun = story.ask(client, move) else { throw Story.Unexpected() }
        guard case .refused(.moving) = story.ask(client, .pin(pinned)) else { throw Story.Unexpected() }
    }

    @Test("access")
    func access() throws {
        var story = Story()
        let client = try story.connect()
        let buffer = story.register(by: client)
        let attachment = try story.attach(buffer, by: client, AttachTerms(.read))
        #expect(
            story.ask(client, .beginAccess(attachment, .first, .readWrite))
                == .refused(.forbidden(missing: .attachWrite)))
        #expect(story.ask(client, .endAccess(attachment)) == .refused(.notInAccess))
        #expect(story.ask(client, .beginAccess(attachment, .first, .read)) == .done)
        #expect(story.ask(client, .beginAccess(attachment, .first, .read)) == .done)
        #expect(story.ask(client, .endAccess(attachment)) == .accessEnded(.ok))
        #expect(story.ask(client, .endAccess(attachment)) == .accessEnded(.ok))
        #expect(story.ask(client, .endAccess(attachment)) == .refused(.notInAccess))
    }

    @Test("leases")
    func leases() throws {
        var story = Story()
        let client = try story.connect()
        let buffer = story.register(by: client, kept: .registry)
        let attachment = try story.attach(buffer, by: client, AttachTerms(.read, lease: .seconds(1)))
        let unleased = try story.attach(buffer, by: client)
        #expect(story.ask(client, .renew(unleased, lease: .seconds(1))) == .refused(.malformed))
        story.now = story.now + .milliseconds(900)
        #expect(story.ask(client, .renew(attachment, lease: .seconds(1))) == .done)
        #expect(story.pass(.milliseconds(900)).isEmpty)
        #expect(story.pass(.milliseconds(100)).notices(to: client).count == 1)
        #expect(story.ask(client, .renew(attachment, lease: .seconds(1))) == .refused(.revoked))
        #expect(story.pass(.milliseconds(500)).contains(.disconnect(client, .ignoredLease)))
    }

    @Test("waiting for a move")
    func waiting() throws {
        var limits = Limits()
        limits.waitsPerClient = 1
        var story = Story(limits)
        let (mover, other) = (try story.connect(), try story.connect())
        let buffer = story.register(by: mover)
        story.ask(mover, .beginMove(buffer, .first, MoveTerms(within: .seconds(1))))
        #expect(story.ask(other, .attach(buffer, AttachTerms(.read))) == nil)
        #expect(story.ask(other, .attach(buffer, AttachTerms(.read))) == .refused(.tooMany(.waits, limit: 1)))
        let effects = story.effects(of: .abortMove(buffer, .first), by: mover)
        guard case .attached(_, .first, _) = effects.answer(to: other) else { throw Story.Unexpected() }
    }

    @Test("move")
    func move() throws {
        var story = Story()
        let mover = try story.connect()
        let buffer = story.register(by: mover)
        let tooLong = MoveTerms(within: .seconds(11))
        #expect(story.ask(mover, .beginMove(buffer, .first, tooLong)) == .refused(.tooLong(limit: .seconds(10))))
        let attachment = try story.attach(buffer, by: mover)
        story.ask(mover, .beginAccess(attachment, .first, .write))
        story.ask(mover, .beginMove(buffer, .first, MoveTerms(within: .seconds(1))))
        // A fence that was there before is waited for, and so is the one that ends the holder's use.
        #expect(story.ask(mover, .abortMove(buffer, .first)) == .done)
        let fence = try story.addFence(attachment, by: mover, FenceTerms(timeline: 1, point: 1, usage: .bookkeep))
        story.ask(mover, .beginMove(buffer, .first, MoveTerms(within: .seconds(1))))
        let last = FenceTerms(timeline: 2, point: 1, usage: .write)
        #expect(story.ask(mover, .acknowledge(attachment, .first, ending: last)) == .done)
        #expect(story.ask(mover, .addFence(attachment, last, lock: nil)).map { $0 != .done } == true)
        let commit = Request.commitMove(buffer, .first, Backing(inode: 2, byteCount: 4096), fence: nil)
        #expect(story.ask(mover, commit) == .refused(.notMoving))
        story.observe(.fenceEnded(fence, .ok))
        let ready = story.pass(.seconds(2)).notices(to: mover).contains {
            if case .readyToCopy(_, _, .error(110), _) = $0 { true } else { false }
        }
        #expect(ready, "the holder's fence ended by its deadline, and the mover is told so")
        #expect(story.ask(mover, commit) == .done)
    }

    @Test("commit or abort: a copy that takes too long is aborted, and its memory is not wanted")
    func copyLate() throws {
        var story = Story()
        let mover = try story.connect()
        let buffer = story.register(by: mover)
        let terms = MoveTerms(within: .seconds(1), copier: .server)
        let begun = story.effects(of: .beginMove(buffer, .first, terms), by: mover)
        #expect(begun.last == .startCopy(buffer, from: .first, to: Generation(2)))
        #expect(
            story.ask(mover, .commitMove(buffer, .first, Backing(inode: 2, byteCount: 4096), fence: nil))
                == .refused(.notMoving))
        let late = story.pass(.seconds(30))
        #expect(late.first == .cancelCopy(buffer, Generation(2)))
        #expect(late.notices(to: mover) == [.moveEnded(buffer, .aborted(.copyLate))])
        #expect(story.observe(.copyDone(buffer, Generation(2), Backing(inode: 2, byteCount: 4096))).isEmpty)
        for bad in [Backing(inode: 1, byteCount: 4096), Backing(inode: 2, byteCount: 1)] {
            story.ask(mover, .beginMove(buffer, .first, terms))
            let ended = story.observe(.copyDone(buffer, Generation(2), bad)).notices(to: mover)
            #expect(ended == [.moveEnded(buffer, .aborted(.copyFailed))])
        }
        story.ask(mover, .beginMove(buffer, .first, terms))
        #expect(story.observe(.copyFailed(buffer, Generation(2))).notices(to: mover).count == 1)
    }

    @Test("revoke")
    func revoke() throws {
        var story = Story()
        let (owner, other) = (try story.connect(), try story.connect())
        let buffer = story.register(by: owner)
        let attachment = try story.attach(buffer, by: other)
        let one = RevokeTerms(.attachment(attachment), within: .seconds(1))
        story.ask(other, .beginAccess(attachment, .first, .write))
        #expect(story.ask(owner, .revoke(buffer, one)) == nil)
        #expect(
            story.ask(owner, .revoke(buffer, one))
                == .refused(.beingRevoked(until: Instant(nanoseconds: 1_000_000_000))))
        #expect(story.pass(.seconds(1)).notices(to: other) == [.revoked(attachment, buffer, .revoked)])
        #expect(story.ask(other, .endAccess(attachment)) == .accessEnded(.revoked))
        // Its word is worth knowing late, too; and once.
        #expect(story.ask(other, .acknowledgeRevoke(attachment)) == .done)
        #expect(story.ask(other, .acknowledgeRevoke(attachment)) == .refused(.notOwed(current: .first)))
        #expect(story.ask(other, .map(attachment)) == .refused(.revoked))
        // REVOKED becomes DEAD without a question, since nothing is left to let go.
        let final = RevokeTerms(.everyone, within: .seconds(1), isFinal: true)
        let told = story.effects(of: .revoke(buffer, final), by: owner).notices(to: other)
        #expect(told == [.revoked(attachment, buffer, .dead)])
        #expect(story.ask(owner, .restore(attachment)) == .refused(.dead))
        #expect(story.ask(other, .map(attachment)) == .refused(.dead))
    }

    @Test("how far a revocation got: a holder that detaches or dies has answered")
    func levels() throws {
        var story = Story()
        let (owner, first, second) = (try story.connect(), try story.connect(), try story.connect())
        let buffer = story.register(by: owner)
        let attachment = try story.attach(buffer, by: first)
        _ = try story.attach(buffer, by: second)
        #expect(story.ask(owner, .revoke(buffer, RevokeTerms(.everyone, within: .seconds(1)))) == nil)
        story.ask(first, .detach(attachment))
        let looked = story.observe(.clientDied(second))
        #expect(looked == [.verifyRelease(buffer, .first)])
        #expect(story.observe(.count(buffer, .first, .untold)).answer(to: owner) == .revoked(.cooperative))
        // While someone else may use the buffer the count says nothing about this one.
        let third = try story.attach(buffer, by: first)
        _ = try story.attach(buffer, by: owner)
        #expect(story.ask(owner, .revoke(buffer, RevokeTerms(.attachment(third), within: .seconds(1)))) == nil)
        let effects = story.effects(of: .acknowledgeRevoke(third), by: first)
        #expect(effects.answer(to: owner) == .revoked(.cooperative))
    }
}
