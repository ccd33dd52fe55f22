// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

/// Where a move meets the other rules.
@Suite("Registry: move")
struct MoveTests {
    private let terms = MoveTerms(within: .seconds(1))

    @Test("a holder that refuses a move which cuts off loses its access, and the move goes on")
    func refusedAndCutOff() throws {
        var story = Story()
        let (mover, holder) = (try story.connect(), try story.connect())
        let buffer = story.register(by: mover)
        let attachment = try story.attach(buffer, by: holder)
        story.ask(holder, .beginAccess(attachment, .first, .write))
        story.ask(mover, .beginMove(buffer, .first, MoveTerms(within: .seconds(1), late: .cutOff)))
        let effects = story.effects(of: .refuseMove(attachment, .first), by: holder)
        #expect(effects.answer(to: holder) == .done)
        #expect(effects.notices(to: holder) == [.revoked(attachment, buffer, .revoked)])
        #expect(effects.readyToCopy(to: mover) == [.ok])
        #expect(story.ask(holder, .endAccess(attachment)) == .accessEnded(.revoked))
        let ended = story.effects(
            of: .commitMove(buffer, .first, Backing(inode: 2, byteCount: 4096), fence: nil), by: mover)
        let outcome = MoveOutcome.moved(Generation(2), cutOff: [Holder(attachment, holder)])
        #expect(ended.notices(to: mover) == [.moveEnded(buffer, outcome)])
        guard case .mapped(attachment, Generation(2), _) = story.ask(holder, .map(attachment)) else {
            throw Story.Unexpected()
        }
    }

    @Test("a holder whose attachment is revoked is not waited for any more")
    func revokedMeanwhile() throws {
        var story = Story()
        let (mover, holder) = (try story.connect(), try story.connect())
        let buffer = story.register(by: mover)
        let attachment = try story.attach(buffer, by: holder)
        story.ask(holder, .beginAccess(attachment, .first, .write))
        story.ask(mover, .beginMove(buffer, .first, terms))
        #expect(story.ask(mover, .revoke(buffer, RevokeTerms(.everyone, within: .seconds(1)))) == nil)
        let effects = story.effects(of: .acknowledgeRevoke(attachment), by: holder)
        #expect(effects.answer(to: holder) == .done)
        #expect(effects.readyToCopy(to: mover) == [.ok])
    }

    @Test("a move waits for a fence that was superseded as long as someone waits for it, and no longer")
    func superseded() throws {
        var story = Story()
        let (mover, holder) = (try story.connect(), try story.connect())
        let buffer = story.register(by: mover)
        let attachment = try story.attach(buffer, by: holder)
        let (write, read) = (
            FenceTerms(timeline: 1, point: 1, usage: .write), FenceTerms(timeline: 2, point: 1, usage: .read)
        )
        let older = try story.addFence(attachment, by: holder, write)
        // Only the second of these waits names the read.
        #expect(story.ask(holder, .wait(attachment, .write, within: .seconds(1))) == nil)
        let reading = try story.addFence(attachment, by: holder, read)
        #expect(story.ask(holder, .wait(attachment, .read, within: .milliseconds(100))) == nil)
        var later = write
        later.point = 2
        let newer = try story.addFence(attachment, by: holder, later)
        var laterRead = read
        laterRead.point = 2
        let readingOn = try story.addFence(attachment, by: holder, laterRead)
        story.ask(mover, .beginMove(buffer, .first, terms))
        story.observe(.fenceEnded(newer, .ok))
        #expect(story.observe(.fenceEnded(readingOn, .ok)).notices(to: mover).isEmpty, "two are still waited for")
        // The second wait is over: with it goes the read that nobody else names.
        #expect(story.pass(.milliseconds(100)).contains(.dropFence(reading)))
        let ended = story.pass(.milliseconds(900))
        #expect(ended.contains(.dropFence(older)))
        #expect(ended.readyToCopy(to: mover) == [.ok])
    }
}

extension [Effect] {
    fileprivate func readyToCopy(to client: ClientID) -> [FenceStatus] {
        notices(to: client).compactMap { if case .readyToCopy(_, _, let status, _) = $0 { status } else { nil } }
    }
}
