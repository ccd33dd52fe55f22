// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage

/// The two control pages of this client: what it reads instead of asking, and what it writes instead of saying.
///
/// An access that begins is counted first and then the slot is looked at; one that ends is counted down first and then the
/// slot is looked at; between the two stands a fence each time. The registry marks the slot, fences, and reads the counts.
/// So of a begin and a move that cross, at least one sees the other: swap two of these lines, and neither may.
struct ClientPages: ~Copyable {
    /// An attachment that has a word.
    struct Held {
        let attachment: AttachmentID
        /// Offsets in bytes.
        let slot: Int
        let word: Int
        /// What it was attached for.
        let access: Access
        var generation: Generation
        /// What the slot said when the registry last said that this attachment is well.
        var stamp: UInt64
        /// How often its accesses were lost.
        var losses = 0
    }

    private let published: ReadOnlyPage
    private let own: WritablePage
    private let connection: Int
    private let client: UInt64
    /// By the number of their words.
    private var held: [Held?]

    /// What came is checked before it is mapped: a page that could shrink would be a trap.
    init(_ joined: Joined, _ pages: Pages, _ files: inout DescriptorList) throws(Errno) {
        guard let first = files.takeFirst(), let second = files.takeFirst() else { throw .badFileDescriptor }
        // What its life is read from lies at the end, and no slot there.
        guard Int(pages.connection) * 8 < Int(pages.publishedByteCount) - LifeWord.byteCount else {
            throw .invalidArgument
        }
        let published = try ReadOnlyPage(mapping: first, byteCount: Int(pages.publishedByteCount))
        let own = try WritablePage(mapping: second, byteCount: Int(pages.ownByteCount))
        self.published = published
        self.own = own
        connection = Int(pages.connection) * 8
        client = joined.client.rawValue
        held = Array(repeating: nil, count: Int(pages.ownByteCount) / 8)
    }

    // MARK: Attachments

    /// False if the registry names words that are not there.
    mutating func hold(_ grant: Grant, _ word: GrantedWord, for access: Access) -> Bool {
        let index = Int(word.word)
        let slots = (published.words.byteCount - LifeWord.byteCount) / 8
        guard index < held.count, Int(word.slot) < slots else { return false }
        if held[index]?.attachment == grant.attachment {
            held[index]?.generation = grant.generation
            held[index]?.stamp = word.stamp
        } else {
            // Whoever had the word before may have left something in it.
            own.storeRelease(UInt64(0), at: index * 8)
            held[index] = Held(
                attachment: grant.attachment, slot: Int(word.slot) * 8, word: index * 8, access: access,
                generation: grant.generation, stamp: word.stamp)
        }
        return true
    }

    /// The attachment in that word, if it is still the one that is meant.
    borrowing func held(_ word: GrantedWord, _ attachment: AttachmentID) -> Held? {
        if Int(word.word) < held.count, let held = held[Int(word.word)], held.attachment == attachment { return held }
        // The registry was restarted, and the attachment has another word.
        return held.lazy.compactMap(\.self).first { $0.attachment == attachment }
    }

    /// An attachment that had a word with a registry that is gone, and how many of its accesses are under way.
    struct Under {
        let attachment: AttachmentID
        let generation: Generation
        let access: Access
        let count: UInt64
        let losses: Int
    }

    var under: [Under] {
        held.compactMap(\.self).map { held in
            Under(
                attachment: held.attachment, generation: held.generation, access: held.access,
                count: own.addRelaxed(UInt64(0), at: held.word), losses: held.losses)
        }
    }

    /// What was so before a restart is so again.
    mutating func goOn(_ before: Under) {
        change(before.attachment) { $0?.losses = before.losses }
        for case .some(let held) in held where held.attachment == before.attachment {
            own.addRelaxed(before.count, at: held.word)
        }
        MemoryFence.sequential()
    }

    mutating func renew(_ attachment: AttachmentID, _ stamp: UInt64) {
        change(attachment) { $0?.stamp = stamp }
    }

    mutating func lose(_ attachment: AttachmentID) {
        change(attachment) { $0?.losses += 1 }
    }

    mutating func forget(_ attachment: AttachmentID) {
        change(attachment) { $0 = nil }
    }

    /// What the registry says unasked.
    mutating func note(_ notice: Notice) {
        switch notice {
        case .revoked(let attachment, _, _): lose(attachment)
        case .attachmentEnded(let attachment, _): forget(attachment)
        default: break
        }
    }

    private mutating func change(_ attachment: AttachmentID, _ body: (inout Held?) -> Void) {
        for index in held.indices where held[index]?.attachment == attachment { body(&held[index]) }
    }

    // MARK: Accesses

    /// Counts one access more, and looks. nil: the client has been cut off.
    borrowing func enter(_ held: borrowing Held) -> SlotValue? {
        own.addRelaxed(UInt64(1), at: held.word)
        return look(held)
    }

    /// Counts one access less, and looks. `isLast` says that nothing is counted any more.
    borrowing func leave(_ held: borrowing Held) -> (value: SlotValue?, isLast: Bool) {
        // What was done to the memory is done before this: a move may copy it from here on.
        MemoryFence.sequential()
        let before = own.addRelaxed(UInt64.max, at: held.word)
        return (look(held), before == 1)
    }

    private borrowing func look(_ held: borrowing Held) -> SlotValue? {
        MemoryFence.sequential()
        let value = SlotValue(rawValue: published.words.loadAcquire64(at: held.slot))
        return published.words.loadAcquire64(at: connection) == client ? value : nil
    }

    /// The registry has died, and what its page says is of no worth. Asked behind the fence of ``enter(_:)``: an access that
    /// was counted before that is under way, and the next registry waits to hear of it.
    var registryIsGone: Bool {
        published.words.writerIsGone(at: published.words.byteCount - LifeWord.byteCount)
    }

    /// Waits while the slot says this. False at the deadline.
    borrowing func wait(_ held: borrowing Held, while value: SlotValue, until deadline: Deadline) throws(Errno) -> Bool
    {
        // The flags are in the low half, and 30 bits of the stamp.
        let low = UInt32(truncatingIfNeeded: value.rawValue)
        while true {
            // Nobody wakes for a registry that has died.
            let soon = min(deadline, .after(.milliseconds(50)))
            if try published.words.wait(at: held.slot, while: low, until: soon) || registryIsGone { return true }
            if deadline.hasPassed { return false }
        }
    }
}
