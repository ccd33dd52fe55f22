// SPDX-License-Identifier: Apache-2.0

@testable import DMABufModel

/// A registry in which something of every kind goes on: a buffer for each, and slots to find it by.
struct BusyRegistry {
    var registry: Registry
    let clients: (owner: Slot, holder: Slot, other: Slot)
    let plain: Slot
    let moving: Slot
    let pinned: Slot
    let locked: Slot
    let moved: Slot
    let revoking: Slot
    let ended: Slot

    init() throws {
        var story = Story()
        let owner = try story.connect()
        let holder = try story.connect()
        let other = try story.connect(uid: 1001)
        let ids = (1...7).map { story.register($0, by: owner, kept: .owner) }
        for id in ids { story.ask(owner, .share(id, Share(.everyone, .all))) }

        // Plain: a name, a lease, two fences and a wait for them, a token with a child, an attachment made with it.
        story.ask(owner, .name(ids[0], "screen"))
        let leased = try story.attach(ids[0], by: holder, AttachTerms(.readWrite, lease: .seconds(9)))
        for timeline in 1...2 as ClosedRange<UInt32> {
            _ = try story.addFence(leased, by: holder, FenceTerms(timeline: timeline, point: 1, usage: .write))
        }
        story.ask(holder, .wait(leased, .write, within: .seconds(1)))
        story.ask(holder, .reserve(leased, slots: 2))
        let (parent, child) = (TokenID(high: 0, low: 1), TokenID(high: 0, low: 2))
        story.ask(owner, .makeToken(parent, ids[0], TokenTerms([.attachRead, .delegate], lasts: .seconds(9))))
        story.ask(other, .makeToken(child, ids[0], TokenTerms(.attachRead, parent: parent)))
        story.ask(owner, .share(ids[0], Share(.everyone, [])))
        _ = try story.attach(ids[0], by: other, AttachTerms(.read, token: child))

        // Moving: a holder that is waited for, and someone who waits to attach.
        let used = try story.attach(ids[1], by: holder)
        story.ask(holder, .beginAccess(used, .first, .write))
        story.ask(owner, .beginMove(ids[1], .first, MoveTerms(within: .seconds(1))))
        story.ask(other, .attach(ids[1], AttachTerms(.read)))

        _ = try story.attach(ids[2], by: holder, AttachTerms(.read, .pinned))

        // Locked: by one, and wanted by another.
        story.ask(owner, .lock([ids[3]], within: .seconds(1), lasting: .seconds(1)))
        story.ask(holder, .lock([ids[3]], within: .seconds(1), lasting: .seconds(1)))

        // Moved: the holder still has the first generation.
        _ = try story.attach(ids[4], by: holder)
        story.ask(owner, .beginMove(ids[4], .first, MoveTerms(within: .seconds(1))))
        story.ask(owner, .commitMove(ids[4], .first, Backing(inode: 50, byteCount: 4096), fence: nil))

        _ = try story.attach(ids[5], by: holder)
        story.ask(owner, .revoke(ids[5], RevokeTerms(.everyone, within: .seconds(1))))

        story.ask(owner, .withdraw(ids[6]))

        registry = story.registry
        func slot(_ client: ClientID) -> Slot { story.registry.clientSlots[client]! }
        clients = (slot(owner), slot(holder), slot(other))
        let slots = ids.map { story.registry.bufferSlots[$0]! }
        (plain, moving, pinned, locked) = (slots[0], slots[1], slots[2], slots[3])
        (moved, revoking, ended) = (slots[4], slots[5], slots[6])
    }

    /// The first attachment to a buffer.
    func attachment(_ buffer: Slot) -> Slot { registry.buffers[buffer].attachments.first! }
    /// The first generation in a buffer's quarantine.
    func quarantined(_ buffer: Slot) -> Slot { registry.buffers[buffer].quarantine.first! }
    func wait(_ buffer: Slot) -> Slot { registry.buffers[buffer].waits.first! }

    var fences: [Slot] { registry.fences.slots }
    var revocation: Slot { registry.revocations.slots[0] }
    /// The granted one, and the one that waits.
    var tickets: [Slot] { registry.tickets.slots }
    /// The parent, and its child.
    var tokens: [Slot] { registry.tokens.slots }
}
