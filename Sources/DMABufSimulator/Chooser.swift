// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Turns a step's word into an act, from what the outside knows. Most of what it does is in order; the rest is stale,
/// foreign, twice, or about something that never was.
struct Chooser {
    let world: World
    var random: RandomWords
    let index: Int

    init(_ step: Step, in world: World) {
        self.world = world
        random = RandomWords(seed: step.word)
        index = step.index
    }

    /// The act of a step, or nil where there is nothing to do it to.
    mutating func act(_ weights: Weights) -> Act? {
        if index < Plan.firstPeers { return .connect(identity()) }
        if index < Plan.firstPeers + Plan.firstBuffers { return request(for: .register) }
        let choice = weights.choice(&random)
        switch choice {
        case .connect: return .connect(identity())
        case .look: return look()
        case .copy: return copy()
        case .fenceEnd: return fenceEnd()
        case .deliver: return deliver()
        case .die: return die()
        case .late: return late()
        case .accesses: return accesses()
        case .pass: return .expire
        default: return request(for: choice)
        }
    }

    /// Two uids and now and then a third; the first has most of the clients, and is greedy by that.
    private mutating func identity() -> Identity {
        let draw = random.below(40)
        let uid: UInt32 = draw == 0 ? Identity.overflowUID : draw < 24 ? 1000 : draw < 37 ? 1001 : 1002
        return Identity(uid: uid, gids: random.oneIn(2) ? [50] : [], pid: Int32(random.below(1000)))
    }

    private mutating func die() -> Act? {
        alivePeer().map { .observe(.clientDied(world.peers[$0].id)) }
    }

    private mutating func look() -> Act? {
        guard let index = random.choose(world.looks, labelled: { $0.label }, where: { _ in true }) else { return nil }
        let look = world.looks[index]
        return .observe(.count(look.buffer, look.generation, count()))
    }

    private mutating func count() -> Count {
        switch random.below(8) {
        case 0...1: .raised(by: UInt32(1 + random.below(3)))
        case 2: .untold
        default: .atBaseline
        }
    }

    private mutating func copy() -> Act? {
        guard let index = random.choose(world.copies, labelled: { $0.label }, where: { _ in true }) else {
            return uncopied().map { copyDone($0) }
        }
        let copy = world.copies[index]
        if random.oneIn(4) { return .observe(.copyFailed(copy.buffer, copy.generation)) }
        return .observe(.copyDone(copy.buffer, copy.generation, backing(byteCount: copy.byteCount)))
    }

    /// The end of a copy that has not begun.
    private mutating func copyDone(_ buffer: Int) -> Act {
        let seen = world.buffers[buffer]
        return .observe(.copyDone(seen.id, seen.generation.next, backing(byteCount: seen.byteCount)))
    }

    private mutating func fenceEnd() -> Act? {
        guard let index = random.choose(world.fences, labelled: { $0.label }, where: { !$0.hasEnded && !$0.isDropped })
        else { return nil }
        return .observe(.fenceEnded(world.fences[index].id, random.oneIn(4) ? .error(5) : .ok))
    }

    /// What a client's own word says; half of them have one.
    private mutating func accesses() -> Act? {
        guard let index = attachment(where: { $0.id.rawValue % 2 == 0 }) else { return nil }
        return .observe(.accesses(world.attachments[index].id, UInt32(random.below(3))))
    }

    private mutating func deliver() -> Act? {
        guard let index = random.choose(world.peers, labelled: { $0.label }, where: { $0.isAlive && $0.unread > 0 })
        else { return nil }
        let peer = world.peers[index]
        let count = random.oneIn(3) ? 1 + random.below(peer.unread) : peer.unread
        return .observe(.delivered(peer.id, notices: UInt32(count)))
    }

    /// What the server reports when nobody asks any more: a second death, a second end of a fence, a copy that is over.
    private mutating func late() -> Act? {
        switch random.below(5) {
        case 0:
            return random.choose(world.peers, labelled: { $0.label }, where: { !$0.isAlive })
                .map { .observe(.clientDied(world.peers[$0].id)) }
        case 1:
            return random.choose(world.fences, labelled: { $0.label }, where: { $0.hasEnded || $0.isDropped })
                .map { .observe(.fenceEnded(world.fences[$0].id, .ok)) }
        case 2:
            guard let buffer = anyBuffer() else { return nil }
            return .observe(.copyFailed(world.buffers[buffer].id, world.buffers[buffer].generation.next))
        case 3:
            return (uncopied() ?? anyBuffer()).map { copyDone($0) }
        default:
            guard let buffer = anyBuffer() else { return nil }
            return .observe(.count(world.buffers[buffer].id, .first, count()))
        }
    }
}
