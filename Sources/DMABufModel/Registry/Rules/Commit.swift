// SPDX-License-Identifier: Apache-2.0

// Rule: commit or abort.
//
// A move ends once. Commit needs other memory of the same size, and only the mover (or, for memory of the server's own,
// the server) commits, while copying. From then on the new generation is the only live one, importers map again on their
// next use, and the fence of a copy still under way is a write that all wait for. Abort clears the mark, and the old
// generation goes on as if nothing had been.

extension Registry {
    mutating func commitMove(
        _ id: BufferID, _ generation: Generation, _ backing: Backing, _ fence: FenceTerms?, _ asker: Asker
    ) throws(Refusal) -> Answer? {
        let buffer = try findMoving(id, generation, asker)
        guard buffers[buffer].move?.phase == .copying, buffers[buffer].move?.terms.copier == .mover else {
            throw .notMoving
        }
        try checkMemory(backing, for: buffer)
        let copy = fence.map {
            FenceTerms(timeline: $0.timeline, point: $0.point, usage: .write, kind: $0.kind, within: $0.within)
        }
        if let copy { try checkFence(copy, by: asker.client, .all, on: buffer) }
        commit(buffer, backing, copy, answering: asker)
        return nil
    }

    mutating func abortMove(_ id: BufferID, _ generation: Generation, _ asker: Asker) throws(Refusal) -> Answer? {
        let buffer = try findMoving(id, generation, asker)
        endMove(of: buffer, .aborted(.asked), answering: asker)
        return nil
    }

    /// The buffer, if the asker is moving it away from `generation`.
    private func findMoving(_ id: BufferID, _ generation: Generation, _ asker: Asker) throws(Refusal) -> Slot {
        guard let buffer = bufferSlots[id] else { throw .noSuchBuffer }
        // Who has begun a move may end it, with whatever right it was begun; others hear of it if they know the buffer.
        if buffers[buffer].move?.mover != asker.client { _ = try findBuffer(id, needing: [], asker) }
        try checkCurrent(generation, of: buffer)
        guard let move = buffers[buffer].move else { throw .notMoving }
        guard move.mover == asker.client else { throw .notTheMover }
        return buffer
    }

    private func checkMemory(_ backing: Backing, for buffer: Slot) throws(Refusal) {
        let old = buffers[buffer].backing
        guard backing.byteCount == old.byteCount else { throw .wrongSize(expected: old.byteCount) }
        var cursor = buffers[buffer].quarantine.first
        while let slot = cursor {
            // Old memory that someone may still reach cannot be what nobody has seen yet.
            guard quarantined[slot].backing.inode != backing.inode else { throw .sameMemory }
            cursor = bufferQuarantine.after(slot)
        }
        guard backing.inode != old.inode else { throw .sameMemory }
        try check(.descriptors, UInt64(backing.descriptorCount), of: buffers[buffer].user)
    }

    mutating func copyDone(_ id: BufferID, _ generation: Generation, _ backing: Backing) {
        guard let buffer = findCopying(id, generation) else { return }
        do throws(Refusal) {
            try checkMemory(backing, for: buffer)
            commit(buffer, backing, nil)
        } catch {
            endMove(of: buffer, .aborted(.copyFailed))
        }
    }

    mutating func copyFailed(_ id: BufferID, _ generation: Generation) {
        guard let buffer = findCopying(id, generation) else { return }
        endMove(of: buffer, .aborted(.copyFailed))
    }

    /// The buffer whose copy is reported; nil for a report of anything else, or of a copy that is not under way.
    func buffer(copiedBy observation: Observation) -> Slot? {
        switch observation {
        case .copyDone(let id, let generation, _), .copyFailed(let id, let generation): findCopying(id, generation)
        default: nil
        }
    }

    /// The buffer that the server is copying to `generation`; a copy that was cancelled meanwhile meets nobody.
    private func findCopying(_ id: BufferID, _ generation: Generation) -> Slot? {
        guard let buffer = bufferSlots[id], let move = buffers[buffer].move, move.phase == .copying,
            move.terms.copier == .server, buffers[buffer].generation.next == generation
        else { return nil }
        return buffer
    }

    private mutating func commit(
        _ buffer: Slot, _ backing: Backing, _ copy: FenceTerms?, answering asker: Asker? = nil
    ) {
        guard let move = buffers[buffer].move else { return }
        // The old generation first: it is quarantined as what is still the live one.
        quarantineLive(buffer)
        buffers[buffer].generation = buffers[buffer].generation.next
        buffers[buffer].backing = backing
        changed(.buffer(buffers[buffer].id))
        charge(.descriptors, UInt64(backing.descriptorCount), to: buffers[buffer].user)
        let outcome = MoveOutcome.moved(buffers[buffer].generation, cutOff: move.cutOff)
        endMove(of: buffer, outcome, answering: asker, behind: copy)
    }

    /// Whatever ends a move ends here: the mark goes, who asked is answered, everyone told of the move is told its end, those
    /// who waited go on.
    mutating func endMove(
        of buffer: Slot, _ outcome: MoveOutcome, answering asker: Asker? = nil, behind copy: FenceTerms? = nil
    ) {
        guard var move = buffers[buffer].move else { return }
        deadlines.cancel(&move.timer)
        buffers[buffer].move = nil
        moveLinks.remove(buffer, from: &clients[move.mover].moves)
        var isCommitted = false
        if case .moved = outcome { isCommitted = true }
        publish(buffer, renewing: isCommitted)
        if let asker { reply(asker, .done) }
        if let copy { add(copy, by: move.mover, on: buffer) }
        if !isCommitted, move.phase == .copying, move.terms.copier == .server {
            effects.append(.cancelCopy(buffers[buffer].id, buffers[buffer].generation.next))
        }
        tellEnd(of: buffer, isCommitted)
        notify(move.mover, .moveEnded(buffers[buffer].id, outcome))
        endWaitsForMove(of: buffer)
        grantNext(buffer)
    }

    private mutating func tellEnd(of buffer: Slot, _ isCommitted: Bool) {
        let (id, generation) = (buffers[buffer].id, buffers[buffer].generation)
        for slot in bufferAttachments.slots(of: buffers[buffer].attachments) where attachments[slot].wasToldOfMove {
            attachments[slot].wasToldOfMove = false
            attachments[slot].owesMove = false
            if isCommitted { attachments[slot].wasToldToFollow = true }
            let name = attachments[slot].id
            notify(
                attachments[slot].client,
                isCommitted ? .moved(name, id, generation) : .moveAborted(name, id, generation))
        }
    }
}
