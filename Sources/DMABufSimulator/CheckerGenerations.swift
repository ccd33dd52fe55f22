// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Checker {
    mutating func check(pass id: BufferID, _ generation: Generation, _ client: ClientID, _ attachment: AttachmentID)
        throws(Violation)
    {
        guard let peer = world.peer(client), world.peers[peer].isAlive else {
            throw Violation(.deadHearNothing, "a descriptor to client \(client.rawValue), which is gone")
        }
        guard let buffer = world.buffer(id) else { throw Violation(.noOldGrant, "a descriptor of nothing") }
        let seen = world.buffers[buffer]
        try expect(!seen.isEnded, .noOldGrant, "a descriptor of a buffer that has ended")
        try expect(
            seen.generation == generation, .noOldGrant,
            "a descriptor of generation \(generation.rawValue), and \(seen.generation.rawValue) is live")
        try expect(!seen.released.contains(generation), .noOldGrant, "a descriptor of released memory")
        try expect(isOver(moveBy: seen.mover), .noOldGrant, "a descriptor of a buffer that is moving")
        if let index = world.attachment(attachment) {
            let known = world.attachments[index]
            try expect(known.peer == peer && known.buffer == buffer, .noOldGrant, "another's attachment")
            try expect(
                !known.isOver && known.state != .dead, .noOldGrant, "a descriptor for an attachment that is over")
        }
        passing = (client, attachment, generation, id)
    }

    private mutating func took(_ attachment: AttachmentID, _ generation: Generation, _ peer: Int) throws(Violation) {
        guard let (client, passed, passedGeneration, _) = passing else {
            throw Violation(.noOldGrant, "attached without a descriptor")
        }
        try expect(
            client == world.peers[peer].id && passed == attachment && passedGeneration == generation, .noOldGrant,
            "the answer and the descriptor before it do not fit together")
        passing = nil
    }

    mutating func attached(_ id: AttachmentID, to buffer: BufferID, _ generation: Generation, _ peer: Int)
        throws(Violation)
    {
        try took(id, generation, peer)
        try expect(world.attachment(id) == nil, .answeredOnce, "attachment \(id.rawValue) was there before")
        guard let buffer = world.buffer(buffer) else { throw Violation(.noOldGrant, "attached to nothing") }
        world.attachments.append(
            SeenAttachment(label: nextLabel(), id: id, buffer: buffer, peer: peer, generation: generation))
    }

    mutating func mapped(_ id: AttachmentID, _ generation: Generation, _ peer: Int) throws(Violation) {
        try took(id, generation, peer)
        guard let index = world.attachment(id) else { throw Violation(.noOldGrant, "mapped nothing") }
        world.attachments[index].state = .ok
        mappedWithWord(index, generation)
    }

    mutating func started(copy id: BufferID, _ from: Generation, _ to: Generation) throws(Violation) {
        guard let buffer = world.buffer(id) else { throw Violation(.copiesPair, "a copy of nothing") }
        let seen = world.buffers[buffer]
        try expect(from == seen.generation && to == from.next, .oneGeneration, "a copy of an old generation")
        try expect(seen.mover != nil, .copiesPair, "a copy without a move")
        try expect(!world.copies.contains { $0.buffer == id }, .copiesPair, "a second copy of one buffer")
        world.copies.append(Copy(label: nextLabel(), buffer: id, generation: to, byteCount: seen.byteCount))
        world.buffers[buffer].isReadyToCopy = true
    }

    mutating func cancelled(copy id: BufferID, _ generation: Generation) throws(Violation) {
        let before = world.copies.count
        world.copies.removeAll { $0.buffer == id && $0.generation == generation }
        if let buffer = world.buffer(id) { moveEnded(buffer) }
        if case .observe(.copyFailed(id, generation)) = act { return }
        if case .observe(.copyDone(id, generation, _)) = act { return }
        try expect(world.copies.count == before - 1, .copiesPair, "a copy was cancelled that was not under way")
    }

    mutating func released(_ id: BufferID, _ generation: Generation) throws(Violation) {
        guard let buffer = world.buffer(id) else { throw Violation(.releasedOnce, "nothing was released") }
        let seen = world.buffers[buffer]
        try expect(generation <= seen.generation, .releasedOnce, "a generation to come was released")
        try expect(!seen.released.contains(generation), .releasedOnce, "released twice: \(generation.rawValue)")
        if generation == seen.generation {
            let attached = world.attachments.contains { $0.buffer == buffer && !$0.isOver && $0.state != .dead }
            try expect(!attached, .releasedOnce, "the live generation was released under its importers")
            world.buffers[buffer].isEnded = true
        }
        world.buffers[buffer].released.append(generation)
        world.looks.removeAll { $0.buffer == id && $0.generation == generation }
    }
}
