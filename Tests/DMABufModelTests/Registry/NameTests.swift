// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

@Suite("Names")
struct NameTests {
    @Test("a list comes in parts, and shows each buffer once")
    func parts() throws {
        var story = Story()
        let client = try story.connect()
        let made = Set((1...40).map { story.register($0, by: client, kept: .registry) })
        var seen: [BufferID] = []
        var cursor: UInt32 = 0
        repeat {
            guard case .listed(let listings, let next) = story.ask(client, .list(from: cursor)) else {
                throw Story.Unexpected()
            }
            #expect(listings.count <= 12)
            seen += listings.map(\.buffer)
            cursor = next
        } while cursor != 0
        #expect(seen.count == made.count && Set(seen) == made)
        #expect(story.ask(client, .list(from: .max)) == .listed([], next: 0))
    }

    @Test("who is in the way is named up to a bound")
    func bounded() throws {
        var story = Story()
        let owner = try story.connect()
        let buffer = story.register(by: owner)
        for _ in 0..<(Holder.listLimit + 9) {
            _ = try story.attach(buffer, by: owner, AttachTerms(.read, .pinned))
        }
        guard
            case .refused(.pinned(let holders)) = story.ask(
                owner, .beginMove(buffer, .first, MoveTerms(within: .seconds(1)))),
            case .inspected(let found) = story.ask(owner, .inspect(buffer, token: nil))
        else { throw Story.Unexpected() }
        #expect(holders.count == Holder.listLimit)
        #expect(found.holders.count == Holder.listLimit && Int(found.listing.attachments) == Holder.listLimit + 9)
        #expect(found.listing.state == .pinned)
    }

    @Test("the work of a process outlives whoever promised it")
    func pidfd() throws {
        var story = Story()
        let (owner, other) = (try story.connect(), try story.connect())
        let buffer = story.register(by: owner)
        let (mine, theirs) = (try story.attach(buffer, by: owner), try story.attach(buffer, by: other))
        let fence = try story.addFence(
            theirs, by: other, FenceTerms(timeline: 1, point: 1, usage: .write, kind: .pidFD))
        story.observe(.clientDied(other))
        #expect(story.ask(owner, .wait(mine, .write, within: .seconds(1))) == nil)
        #expect(story.observe(.fenceEnded(fence, .ok)).answer(to: owner) == .waited(.ok))
    }
}
