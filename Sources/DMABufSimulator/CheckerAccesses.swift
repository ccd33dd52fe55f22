// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Accesses and leases.
extension Checker {
    mutating func accessBegun(_ id: AttachmentID, _ generation: Generation, _ access: Access) throws(Violation) {
        guard let index = world.attachment(id) else { return }
        let seen = world.attachments[index]
        let buffer = world.buffers[seen.buffer]
        try expect(buffer.mover == nil, .accessesHold, "an access began during a move")
        try expect(
            generation == buffer.generation && seen.generation == generation, .oneGeneration,
            "an access to generation \(generation.rawValue), and \(buffer.generation.rawValue) is live")
        try expect(seen.state == .ok && !seen.isOver, .accessesHold, "an access began on what is \(seen.state)")
        try expect(seen.access.isSuperset(of: access), .accessesHold, "an access wider than what was attached for")
        try expect(!buffer.isSuspect, .accessesHold, "an access to a suspect buffer")
        world.attachments[index].accesses += 1
    }

    mutating func accessEnded(_ id: AttachmentID, _ state: AttachmentState) throws(Violation) {
        guard let index = world.attachment(id) else { return }
        let seen = world.attachments[index]
        if seen.lost > 0 {
            try expect(state != .ok, .accessesHold, "what was written is lost, and its writer was not told")
            world.attachments[index].lost -= 1
        } else if seen.hasWord, seen.accesses == 0 {
            // It asks what has become of one that it counted itself.
            try expect(state == seen.state, .accessesHold, "an access ended \(state), and it is \(seen.state)")
        } else {
            try expect(state == .ok && seen.accesses > 0, .accessesHold, "an access ended \(state)")
            world.attachments[index].accesses -= 1
        }
    }

    func notInAccess(_ id: AttachmentID) throws(Violation) {
        guard let index = world.attachment(id) else { return }
        let seen = world.attachments[index]
        try expect(
            seen.accesses + seen.lost == 0 && !seen.hasWord, .accessesHold, "the end of an access was refused")
    }

    mutating func loseAccesses(_ index: Int) {
        world.attachments[index].lost += world.attachments[index].accesses
        world.attachments[index].accesses = 0
        world.attachments[index].counted = 0
    }

    /// The end of a lease is that of its attachment, whatever else is going on.
    mutating func endLeases() {
        for index in world.attachments.indices {
            guard let lease = world.attachments[index].lease, lease <= world.now else { continue }
            world.attachments[index].lease = nil
            world.attachments[index].isCondemned = true
        }
    }

    /// Whose lease or token has ended is gone, or asked to go.
    func checkCondemned() throws(Violation) {
        for seen in world.attachments where seen.isCondemned && !seen.isOver && seen.state != .dead {
            let isAsked = world.peers[seen.peer].owed.contains {
                if case .revoke(seen.id, _, _, _) = $0 { true } else { false }
            }
            try expect(isAsked, .accessesHold, "attachment \(seen.id.rawValue) has outlived its lease or its token")
        }
    }

    /// Who waits to attach or to map waits for a move.
    func checkMoveWaiters() throws(Violation) {
        for peer in world.peers where peer.isAlive {
            for open in peer.open {
                let buffer: Int? =
                    switch open.request {
                    case .attach(let id, _): world.buffer(id)
                    case .map(let id): world.attachment(id).map { world.attachments[$0].buffer }
                    default: nil
                    }
                guard let buffer else { continue }
                try expect(
                    world.buffers[buffer].mover != nil, .waitsEnd, "waits for a move that is over: \(open.request)")
            }
        }
    }
}
