// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Checker {
    /// From here on nothing may be said to it, and nothing may be its.
    mutating func died(_ peer: Int) {
        for point in pointsOfDeath(of: peer) { tally.count(point) }
        world.peers[peer].isAlive = false
        world.peers[peer].open.removeAll()
        world.peers[peer].owed.removeAll()
        world.peers[peer].unread = 0
        for index in world.attachments.indices where world.attachments[index].peer == peer {
            world.attachments[index].isOver = true
        }
        for index in world.locks.indices where world.locks[index].peer == peer { world.locks[index].isOver = true }
        for index in world.buffers.indices where world.buffers[index].mover == peer { moveEnded(index) }
    }

    /// Whatever shows first that a move is over.
    mutating func moveEnded(_ buffer: Int) {
        guard let mover = world.buffers[buffer].mover else { return }
        world.buffers[buffer].untold = mover
        world.buffers[buffer].mover = nil
        world.buffers[buffer].isReadyToCopy = false
        ended.append(buffer)
    }

    private func pointsOfDeath(of peer: Int) -> [PointOfDeath] {
        var points: [PointOfDeath] = []
        if world.buffers.contains(where: { $0.owner == peer && !$0.isEnded }) { points.append(.owner) }
        for seen in world.attachments where seen.peer == peer && !seen.isOver {
            points.append(seen.accesses > 0 ? .holder : .idleImporter)
        }
        for seen in world.buffers where seen.mover == peer {
            points.append(seen.isReadyToCopy ? .moverCopying : .moverWaiting)
        }
        if world.locks.contains(where: { $0.peer == peer && !$0.isOver }) { points.append(.lockOwner) }
        if world.fences.contains(where: { $0.peer == peer && !$0.hasEnded && !$0.isDropped }) {
            points.append(.fencePromiser)
        }
        if world.tokens.contains(where: { $0.peer == peer }) { points.append(.tokenMaker) }
        points += world.peers[peer].open.compactMap(Self.point)
        points += world.peers[peer].owed.compactMap(Self.point)
        return points.isEmpty ? [.stranger] : points
    }

    private static func point(waiting open: OpenRequest) -> PointOfDeath? {
        switch open.request {
        case .lock: .lockWaiter
        case .wait: .fenceWaiter
        case .attach, .map: .attachWaiter
        case .revoke: .revoker
        default: nil
        }
    }

    private static func point(owing notice: Notice) -> PointOfDeath? {
        switch notice {
        case .invalidate: .toldToLetGo
        case .revoke: .toldOfRevocation
        default: nil
        }
    }
}
