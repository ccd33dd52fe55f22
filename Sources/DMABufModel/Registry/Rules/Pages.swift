// SPDX-License-Identifier: Apache-2.0

// Rule: who looks for itself.
//
// A client may count its accesses in a word that the server reads, and read in a word of the server's whether one may
// begin: then an access costs no request. The rules see nothing of the words. They say what the server's has to show
// (``Effect/publish(_:_:)``), and are told what the client's showed (``Observation/accesses(_:_:)``) right before a move or
// an acknowledgement is decided. Two things make that as safe as asking:
//
// *No access begins unseen.* The client counts one more and then looks at the server's word; before it decides a move the
// server marks its word and then looks at the client's count; both put a fence between the two. Of two such pairs at least
// one sees the other: either the server counts the access, and its client is a holder that is waited for, or the client
// sees the mark and takes its count back. An access that ends looks for the mark in the same way, so that whoever was
// counted acknowledges. An acknowledgement can be late: that of a move that was aborted, and meanwhile an access was begun
// and the next move too. So the count is looked at again with each: only who is inside no access has let go.
//
// *Whatever would refuse an access renews the word*: a commit, the begin of a revocation, the loss of an access, the end
// or the quarantine of the buffer. A word that says what it said when this client was last granted something means that
// nothing was taken from anybody since, and so nothing from this client. If it says anything else, the client asks.
//
// A client that lies in its own word is a holder that is none, or none that is one: in the first case it is waited for as
// any holder that does not answer, in the second it uses memory that has been moved away, which nobody else sees.

extension Registry {
    mutating func accessesSeen(_ id: AttachmentID, _ count: UInt32) {
        guard let slot = attachmentSlots[id] else { return }
        attachments[slot].counted = count
        guard !attachments[slot].hasWord else { return }
        attachments[slot].hasWord = true
        let buffer = attachments[slot].buffer
        buffers[buffer].isPublished = true
        // What was granted may have been taken back in the same step.
        publish(buffer, renewing: !mayBegin(slot))
    }

    private func mayBegin(_ slot: Slot) -> Bool {
        let buffer = attachments[slot].buffer
        return attachments[slot].state == .ok && attachments[slot].revocation == nil
            && attachments[slot].generation == buffers[buffer].generation && !buffers[buffer].isSuspect
    }

    /// Comes before the answers and notices that depend on it.
    mutating func publish(_ buffer: Slot, renewing: Bool = false) {
        guard buffers[buffer].isPublished else { return }
        let published = Published(
            isMoving: buffers[buffer].move != nil, hasFences: mayHaveFences(buffer), isRenewed: renewing)
        effects.append(.publish(buffers[buffer].id, published))
    }

    /// A move tells no idle importer that looks for itself. One that has not looked by now keeps old memory from being
    /// freed, and is told once.
    mutating func tellIdle(_ slot: Slot) {
        let buffer = quarantined[slot].buffer
        guard quarantined[slot].interval >= limits.idlePatience, !quarantined[slot].hasToldIdle,
            quarantined[slot].generation < buffers[buffer].generation
        else { return }
        quarantined[slot].hasToldIdle = true
        let (id, generation) = (buffers[buffer].id, buffers[buffer].generation)
        for attachment in bufferAttachments.slots(of: buffers[buffer].attachments)
        where attachments[attachment].isSuspect && attachments[attachment].generation == quarantined[slot].generation
            && attachments[attachment].state == .ok && attachments[attachment].hasWord
            && !attachments[attachment].wasToldToFollow
        {
            attachments[attachment].wasToldToFollow = true
            notify(attachments[attachment].client, .moved(attachments[attachment].id, id, generation))
        }
    }
}

// What the server asks before it marks its word, so that nobody who may not move a buffer disturbs its users.

extension Registry {
    /// Whether `client` would be granted this move now.
    public func mayMove(_ id: BufferID, _ generation: Generation, _ terms: MoveTerms, _ client: ClientID) -> Bool {
        guard let slot = clientSlots[client] else { return false }
        do throws(Refusal) {
            _ = try findToMove(id, generation, terms, Asker(client: slot, number: RequestNumber(0)))
            return true
        } catch { return false }
    }

    public func isMoving(_ id: BufferID) -> Bool {
        bufferSlots[id].map { buffers[$0].move != nil } ?? false
    }

    public func isAttached(_ id: AttachmentID) -> Bool { attachmentSlots[id] != nil }

    public func hasPendingFences(_ id: BufferID) -> Bool {
        bufferSlots[id].map { mayHaveFences($0) } ?? false
    }

    /// Fences of before a restart that are not promised again yet count, too: who looks for itself asks, and is told.
    private func mayHaveFences(_ buffer: Slot) -> Bool {
        buffers[buffer].fences.count > 0 || buffers[buffer].unsettled > 0
    }
}
