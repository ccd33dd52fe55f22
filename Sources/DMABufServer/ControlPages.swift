// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage

/// Which buffers have slots, which attachments have words, and what the slots say.
///
/// All slots of a buffer say the same, in the page of each uid that has someone attached to it. A stamp is given once: one
/// counter serves all buffers, so whatever a slot is used for next, nobody takes it for what it was used for before. All is
/// bounded by the pages: what has no room has no word, and its accesses come as messages.
struct ControlPages {
    private struct Slot {
        var index: UInt32
        var attachments: Int
    }

    private struct Buffer {
        var value: SlotValue
        /// By uid.
        var slots: [UInt32: Slot] = [:]
        var words = AttachedWords()

        /// nil: it has no word yet.
        mutating func grantAgain(
            _ attachment: AttachmentID, _ generation: Generation, _ user: UInt32
        ) -> GrantedWord? {
            guard let word = words[attachment], let slot = slots[user] else { return nil }
            words.isGranted(generation, to: attachment)
            return GrantedWord(stamp: value.stamp, slot: slot.index, word: word)
        }
    }

    private var published: [UInt32: PublishedWords] = [:]
    private var buffers: [BufferID: Buffer] = [:]
    private var attached: [AttachmentID: (buffer: BufferID, user: UInt32)] = [:]
    private var lastStamp: UInt64 = 0
    /// So no stamp of an earlier run is given again.
    mutating func giveStamps(from first: UInt64) { lastStamp = max(lastStamp, first / SlotValue.step * SlotValue.step) }

    /// The buffer whose move is being decided: its slot stays marked until that is done.
    private var deciding: BufferID?

    // MARK: Clients

    /// Both pages for a client that has just joined, and their descriptors; nil where there is no room for them.
    mutating func join(_ id: ClientID, of user: UInt32, _ files: inout DescriptorList) -> OwnWords? {
        do throws(Errno) {
            let published: PublishedWords
            if let known = self.published[user] { published = known } else { published = try PublishedWords() }
            let file = try WritablePage.createForPeer(named: "dmabuf-share own", byteCount: Int(OwnWords.byteCount))
            let page = try ReadOnlyPage(
                mapping: file, byteCount: Int(OwnWords.byteCount), sealed: ReadOnlyPage.ofPeer)
            files.append(try published.duplicateFile())
            files.append(file)
            guard let connection = published.addClient(id) else { return nil }
            self.published[user] = published
            return OwnWords(page, published, connection: connection)
        } catch { return nil }
    }

    /// It is dead, or cut off: its words count as zero from here on, whatever they say.
    mutating func cutOff(_ own: OwnWords, of user: UInt32) {
        own.published.cutOff(own.connection)
        for attachment in own.attachments { remove(attachment) }
        if own.published.clients == 0 { published[user] = nil }
    }

    // MARK: Attachments

    /// Where an attachment's accesses are counted; nil where there is no room. `isNew` says that it was not granted before.
    mutating func grant(
        _ attachment: AttachmentID, _ key: GenerationKey, to own: OwnWords, of user: UInt32, hasFences: Bool
    ) -> (word: GrantedWord, isNew: Bool)? {
        let buffer = key.buffer
        if let granted = buffers[buffer]?.grantAgain(attachment, key.generation, user) { return (granted, false) }
        guard let word = own.take() else { return nil }
        if buffers[buffer] == nil {
            var value = nextValue()
            value.hasFences = hasFences
            buffers[buffer] = Buffer(value: value)
        }
        guard let slot = takeSlot(of: buffer, own.published, user) else {
            own.giveBack(word)
            forget(buffer)
            return nil
        }
        buffers[buffer]?.words.add(attachment, own, word, key.generation)
        attached[attachment] = (buffer, user)
        return (GrantedWord(stamp: buffers[buffer]?.value.stamp ?? 0, slot: slot, word: word), true)
    }

    private mutating func takeSlot(of buffer: BufferID, _ published: PublishedWords, _ user: UInt32) -> UInt32? {
        if let slot = buffers[buffer]?.slots[user] {
            buffers[buffer]?.slots[user]?.attachments += 1
            return slot.index
        }
        guard let value = buffers[buffer]?.value, let index = published.addSlot(value) else { return nil }
        buffers[buffer]?.slots[user] = Slot(index: index, attachments: 1)
        return index
    }

    /// The attachment is over.
    mutating func remove(_ attachment: AttachmentID) {
        guard let (buffer, user) = attached[attachment] else { return }
        attached[attachment] = nil
        buffers[buffer]?.words.remove(attachment)
        if let slot = buffers[buffer]?.slots[user] {
            buffers[buffer]?.slots[user]?.attachments -= 1
            if slot.attachments == 1 {
                published[user]?.removeSlot(slot.index)
                buffers[buffer]?.slots[user] = nil
            }
        }
        forget(buffer)
    }

    private mutating func forget(_ buffer: BufferID) {
        if buffers[buffer]?.slots.isEmpty == true { buffers[buffer] = nil }
    }

    // MARK: Slots

    private mutating func nextValue() -> SlotValue {
        lastStamp += SlotValue.step
        return SlotValue(rawValue: lastStamp)
    }

    /// What the rules say that everyone is to see.
    mutating func publish(_ id: BufferID, _ state: Published) {
        guard var value = buffers[id]?.value else { return }
        let wasMoving = value.isMoving
        if state.isRenewed { value = nextValue() }
        value.isMoving = state.isMoving || deciding == id
        value.hasFences = state.hasFences
        store(value, id)
        if wasMoving, !value.isMoving { wake(id) }
    }

    /// Before a move is decided: from here on whoever begins an access backs out. False where nobody has a word.
    mutating func mark(_ id: BufferID) -> Bool {
        guard var value = buffers[id]?.value else { return false }
        deciding = id
        value.isMoving = true
        store(value, id)
        // The other half of this is in each client: count, fence, look. See Rules/Pages.swift.
        MemoryFence.sequential()
        return true
    }

    /// The move is decided; if it was refused, the slot says what it said before.
    mutating func settle(_ id: BufferID, isMoving: Bool) {
        deciding = nil
        guard !isMoving, var value = buffers[id]?.value, value.isMoving else { return }
        value.isMoving = false
        store(value, id)
        wake(id)
    }

    /// Who is inside an access, now that the slot is marked.
    func holders(of id: BufferID, _ generation: Generation) -> [(attachment: AttachmentID, count: UInt32)] {
        buffers[id]?.words.holders(of: generation) ?? []
    }

    /// How many accesses one attachment is inside.
    func count(of attachment: AttachmentID, _ generation: Generation) -> UInt32 {
        guard let buffer = attached[attachment]?.buffer else { return 0 }
        return buffers[buffer]?.words.count(of: attachment, generation) ?? 0
    }

    private mutating func store(_ value: SlotValue, _ id: BufferID) {
        guard let slots = buffers[id]?.slots, buffers[id]?.value != value else { return }
        buffers[id]?.value = value
        for (user, slot) in slots { published[user]?.store(value.rawValue, slot.index) }
    }

    private func wake(_ id: BufferID) {
        for (user, slot) in buffers[id]?.slots ?? [:] { published[user]?.wake(slot.index) }
    }
}

extension RegistryServer {
    /// The answer to a client's join, with its pages if it knows what they are.
    mutating func welcome(_ client: ClientConnection, _ joined: Joined, _ serial: UInt64) {
        var files = DescriptorList()
        guard let id = client.id, client.wantsPages, client.outbox.isEmpty,
            let own = pages.join(id, of: client.identity.user, &files)
        else { return _ = say(.joined(joined), serial, to: client) }
        var joined = joined
        joined.pages = own.pages
        let count = Message.joined(joined).encode(serial, into: &outgoing)
        if (try? client.socket.trySend(outgoing.span.extracting(first: count), with: files)) == .sent {
            client.mayHaveUnread = true
            client.own = own
        } else {
            pages.cutOff(own, of: client.identity.user)
            joined.pages = nil
            say(.joined(joined), serial, to: client)
        }
    }

    /// Where the accesses of what is being granted are counted; nil: by message.
    mutating func word(
        for attachment: AttachmentID, _ key: GenerationKey, _ client: ClientConnection
    ) -> GrantedWord? {
        guard let own = client.own, !client.isClosed else { return nil }
        let granted = pages.grant(
            attachment, key, to: own, of: client.identity.user, hasFences: registry.hasPendingFences(key.buffer))
        if granted?.isNew == true { observations.append(.accesses(attachment, 0)) }
        return granted?.word
    }

    /// Decides a request. Before a move that would be granted, the slot is marked and the words are read; before an
    /// acknowledgement the word of who sends it. What they say is good for this one decision.
    mutating func handle(_ request: Request, _ number: RequestNumber, from id: ClientID) {
        var marked: BufferID?
        var holders: [(attachment: AttachmentID, count: UInt32)] = []
        switch request {
        case .beginMove(let buffer, let generation, let terms):
            guard mayBeGranted(buffer, generation, terms, id), pages.mark(buffer) else { break }
            marked = buffer
            holders = pages.holders(of: buffer, generation)
        case .acknowledge(let attachment, let generation, _):
            let count = pages.count(of: attachment, generation)
            if count > 0, clients[id]?.own?.attachments.contains(attachment) == true { holders = [(attachment, count)] }
        default: break
        }
        for holder in holders { observations.append(.accesses(holder.attachment, holder.count)) }
        if marked != nil || !holders.isEmpty { observe() }
        effects.removeAll()
        registry.handle(request, numbered: number, from: id, at: now, into: &effects)
        Failpoint.reach(.during, request)
        carryOutAll()
        var isMoving = false
        if let marked {
            isMoving = registry.isMoving(marked)
            pages.settle(marked, isMoving: isMoving)
        }
        // A move that has begun has used them up.
        if !isMoving { for holder in holders { observations.append(.accesses(holder.attachment, 0)) } }
        if case .detach(let attachment) = request, !registry.isAttached(attachment) { pages.remove(attachment) }
    }

    /// Who may not move a buffer does not get its slot marked. What is due is done first: it could change the answer.
    private mutating func mayBeGranted(
        _ buffer: BufferID, _ generation: Generation, _ terms: MoveTerms, _ client: ClientID
    ) -> Bool {
        for _ in 0..<8 where isDue { expire() }
        return isDue || registry.mayMove(buffer, generation, terms, client)
    }

    private var isDue: Bool { !registry.isHearing && registry.nextDeadline.map { $0 <= now } ?? false }
}
