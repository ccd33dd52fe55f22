// SPDX-License-Identifier: Apache-2.0

// Rule: settling.
//
// What was of the moment did not survive the restart: who is inside an access, and which fences are pending. So a buffer is
// *settling* until everyone who was attached has said where it stands, is gone, or a bounded grace is over. An attachment of
// before says so by an access that it goes on with, by mapping, by waiting, or by detaching: who is inside an access begins it first.
// Who attaches to the buffer again has spoken of all that it knows of: of the others it has never heard, for the answer was
// lost with the registry before, and they end.
// Meanwhile the buffer is not moved or locked, nobody new attaches to write or to pin, no fences are waited for that may
// not all be known, and an access begins only if none that may be under way conflicts with it: two that read do not. One
// that was attached before goes on with what it was doing.

extension Registry {
    func checkSettled(_ buffer: Slot) throws(Refusal) {
        if buffers[buffer].unsettled > 0 { throw .settling(until: settlingEnd) }
    }

    /// Throws if somebody who has not said where it stands may be doing what conflicts with this.
    func checkSettled(_ buffer: Slot, for access: Access, by attachment: Slot?) throws(Refusal) {
        guard buffers[buffer].unsettled > 0 else { return }
        if let attachment, attachments[attachment].isUnsettled { return }
        for slot in bufferAttachments.slots(of: buffers[buffer].attachments) where attachments[slot].isUnsettled {
            let isHarmless = !access.contains(.write) && !attachments[slot].terms.access.contains(.write)
            if !isHarmless { throw .settling(until: settlingEnd) }
        }
    }

    /// An attachment of before, as it is restored.
    mutating func unsettle(_ attachment: Slot) {
        guard attachments[attachment].state == .ok else { return }
        attachments[attachment].isUnsettled = true
        buffers[attachments[attachment].buffer].unsettled += 1
    }

    /// It has said where it stands, or is over.
    mutating func settle(_ attachment: Slot) {
        guard attachments[attachment].isUnsettled else { return }
        attachments[attachment].isUnsettled = false
        let buffer = attachments[attachment].buffer
        buffers[buffer].unsettled -= 1
        if buffers[buffer].unsettled == 0 { publish(buffer) }
    }

    /// The client's attachments to the buffer that it has not spoken of.
    func unheard(of buffer: Slot, _ client: Slot) -> [Slot] {
        guard buffers[buffer].unsettled > 0 else { return [] }
        return clientAttachments.slots(of: clients[client].attachments)
            .filter { attachments[$0].buffer == buffer && attachments[$0].isUnsettled }
    }

    mutating func startSettling() {
        settlingEnd = now + limits.longestAbsence
        settling = deadlines.add(settlingEnd, for: .settling)
    }

    mutating func settlingEnded() {
        settling = nil
        for slot in attachments.slots { settle(slot) }
    }
}
