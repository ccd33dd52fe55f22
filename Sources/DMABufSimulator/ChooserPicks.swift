// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Who and what a step is about.
extension Chooser {
    mutating func alivePeer() -> Int? {
        random.choose(world.peers, labelled: { $0.label }, where: { $0.isAlive })
    }

    mutating func anyBuffer() -> Int? {
        random.choose(world.buffers, labelled: { $0.label }, where: { _ in true })
    }

    /// Now and then one whose copy is the server's and has not begun.
    mutating func uncopied() -> Int? {
        guard random.oneIn(2) else { return nil }
        return random.choose(world.buffers, labelled: { $0.label }) {
            $0.mover != nil && $0.isServers && !$0.isReadyToCopy
        }
    }

    /// Now and then one that a dead client's device may still be writing to: it may become suspect under its locks.
    mutating func abandoned() -> Int? {
        guard random.oneIn(3) else { return nil }
        return random.choose(world.fences, labelled: { $0.label }) { [world] fence in
            guard let peer = fence.peer, fence.buffer != nil, !fence.isDropped, !fence.hasEnded else { return false }
            return !world.peers[peer].isAlive && fence.kind != .eventFD
        }.flatMap { world.fences[$0].buffer }
    }

    /// Now and then one that is moving and has a token, which may end before whoever shows it is let in.
    mutating func movingAndLent() -> Int? {
        guard random.oneIn(6) else { return nil }
        return random.choose(world.buffers, labelled: { $0.label }) { [world] buffer in
            buffer.mover != nil && world.tokens.contains { $0.buffer == buffer.id }
        }
    }

    /// Now and then one that has ended.
    mutating func buffer() -> Int? {
        if random.oneIn(24) { return anyBuffer() }
        return random.choose(world.buffers, labelled: { $0.label }, where: { !$0.isEnded })
    }

    /// Someone who may well have rights on it: of its owner's uid, now and then a stranger.
    mutating func friend(of buffer: Int) -> Int? {
        if random.oneIn(5) { return alivePeer() }
        let uid = world.peers[world.buffers[buffer].owner].identity.uid
        return random.choose(world.peers, labelled: { $0.label }, where: { $0.isAlive && $0.identity.uid == uid })
    }

    /// Who shows a token is mostly one who needs it.
    mutating func guest(of buffer: Int, showing token: TokenID?) -> Int? {
        if token == nil { return friend(of: buffer) }
        let uid = world.peers[world.buffers[buffer].owner].identity.uid
        let isStranger = !random.oneIn(4)
        return random.choose(
            world.peers, labelled: { $0.label }, where: { $0.isAlive && (!isStranger || $0.identity.uid != uid) })
    }

    /// Now and then one that is over.
    mutating func attachment(where fits: (SeenAttachment) -> Bool = { _ in true }) -> Int? {
        if random.oneIn(16) {
            return random.choose(world.attachments, labelled: { $0.label }, where: { _ in true })
        }
        return random.choose(world.attachments, labelled: { $0.label }, where: { !$0.isOver && fits($0) })
    }

    /// The attachment's own client, now and then a foreign one.
    mutating func asker(of attachment: Int) -> Int? {
        let peer = world.attachments[attachment].peer
        if random.oneIn(32) || !world.peers[peer].isAlive { return alivePeer() }
        return peer
    }

    mutating func owner(of buffer: Int) -> Int? {
        let owner = world.buffers[buffer].owner
        if random.oneIn(3) || !world.peers[owner].isAlive { return friend(of: buffer) }
        return owner
    }

    /// The present generation, now and then the one before or after it.
    mutating func generation(of buffer: Int) -> Generation {
        let present = world.buffers[buffer].generation
        switch random.below(20) {
        case 0: return Generation(present.rawValue - 1)
        case 1: return present.next
        default: return present
        }
    }

    mutating func backing(byteCount: UInt64) -> Backing {
        let inode = random.oneIn(12) && world.nextInode > 100 ? world.nextInode - 1 : world.nextInode
        return Backing(
            inode: inode, byteCount: random.oneIn(16) ? byteCount + 4096 : byteCount,
            descriptorCount: random.oneIn(8) ? 2 : 1, provesRelease: !random.oneIn(3))
    }

    mutating func interval() -> Interval {
        switch random.below(10) {
        case 0: .seconds(60)
        case 1: Interval(nanoseconds: 0)
        case 2...5: .milliseconds(UInt64(1 + random.below(5)))
        default: .milliseconds(UInt64(1 + random.below(900)))
        }
    }

    mutating func access() -> Access { [.read, .write, .readWrite][random.below(3)] }

    mutating func rights() -> Rights {
        random.oneIn(3) ? .all : Rights(rawValue: UInt8(truncatingIfNeeded: random.next()))
    }

    mutating func usage() -> Usage { Usage.allCases[random.below(4)] }

    mutating func fenceTerms() -> FenceTerms {
        FenceTerms(
            timeline: UInt32(random.below(3)), point: UInt64(random.below(12)), usage: usage(),
            kind: [.syncFile, .eventFD, .pidFD][random.below(3)], within: interval())
    }

    mutating func token(for buffer: BufferID) -> TokenID? {
        if random.oneIn(24) { return TokenID(high: 0, low: 999) }
        let isForeign = random.oneIn(12)
        return random.choose(world.tokens, labelled: { $0.label }, where: { isForeign || $0.buffer == buffer })
            .map { world.tokens[$0].id }
    }

    /// A lock of this client, now and then of another one.
    mutating func lock(of peer: Int?) -> LockNumber? {
        let stranger = random.oneIn(12)
        return random.choose(
            world.locks, labelled: { $0.label }, where: { stranger || (!$0.isOver && $0.peer == peer) }
        ).map { world.locks[$0].number }
    }
}
