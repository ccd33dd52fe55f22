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
        try expect(!seen.isSuspect, .noOldGrant, "a descriptor of a suspect buffer")
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

    mutating func attached(
        _ id: AttachmentID, to buffer: BufferID, _ generation: Generation, _ terms: AttachTerms, _ peer: Int
    ) throws(Violation) {
        let (rights, token) = try grant(buffer, terms, peer)
        try took(id, generation, peer)
        try expect(world.attachment(id) == nil, .answeredOnce, "attachment \(id.rawValue) was there before")
        guard let buffer = world.buffer(buffer) else { throw Violation(.noOldGrant, "attached to nothing") }
        var seen = SeenAttachment(label: nextLabel(), id: id, buffer: buffer, peer: peer)
        (seen.rights, seen.token, seen.access, seen.generation) = (rights, token, terms.access, generation)
        seen.lease = terms.lease.map { world.now + $0 }
        world.attachments.append(seen)
    }

    mutating func mapped(_ id: AttachmentID, _ generation: Generation, _ peer: Int) throws(Violation) {
        try took(id, generation, peer)
        guard let index = world.attachment(id) else { throw Violation(.noOldGrant, "mapped nothing") }
        try expect(!world.attachments[index].isBarred, .revokesHold, "mapped what is revoked")
        world.attachments[index].state = .ok
        world.attachments[index].isSilent = false
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
}
