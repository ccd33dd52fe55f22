// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage

/// Words of a page, given out and taken back.
struct WordList {
    private let range: Range<UInt32>
    /// How far from the beginning the first one lies.
    private let shift: UInt32
    private var taken: UInt32 = 0
    private var free: [UInt32] = []

    init(_ range: Range<UInt32>, shiftedBy shift: UInt32 = 0) {
        self.range = range
        self.shift = shift
    }

    mutating func take() -> UInt32? {
        if let word = free.popLast() { return word }
        guard taken < range.count else { return nil }
        taken += 1
        return range.lowerBound + (shift + taken - 1) % UInt32(range.count)
    }

    mutating func giveBack(_ word: UInt32) { free.append(word) }
}

/// The page that all clients of one uid read and the server alone writes: a word for each of them, and a slot for each
/// buffer that one of them is attached to.
///
/// The two kinds never take each other's place: a slot's stamp could be the number of a client that is gone.
final class PublishedWords {
    static let byteCount: UInt32 = 65_536
    private static let connectionCount: UInt32 = 2048

    private let published: PublishedPage
    private var connections = WordList(0..<connectionCount)
    /// By it all see that the registry is gone.
    private static let lifeWord = Int(byteCount) - LifeWord.byteCount
    private var slots = WordList(connectionCount..<UInt32(lifeWord / 8))
    private(set) var clients = 0

    init() throws(Errno) {
        let published = try WritablePage.create(named: "dmabuf-share", byteCount: Int(Self.byteCount))
        try published.page.startLife(at: Self.lifeWord)
        self.published = published
    }

    deinit { published.page.endLife(at: Self.lifeWord) }

    func duplicateFile() throws(Errno) -> Descriptor { try published.file.duplicate() }

    func addClient(_ id: ClientID) -> UInt32? {
        guard let word = connections.take() else { return nil }
        clients += 1
        store(id.rawValue, word)
        return word
    }

    /// From here on it knows, when it looks, that it has lost everything.
    func cutOff(_ word: UInt32) {
        clients -= 1
        store(0, word)
        connections.giveBack(word)
    }

    func addSlot(_ value: SlotValue) -> UInt32? {
        guard let slot = slots.take() else { return nil }
        store(value.rawValue, slot)
        return slot
    }

    /// Until it is given out again it has no stamp at all, and then one that nobody has seen.
    func removeSlot(_ slot: UInt32) {
        store(0, slot)
        slots.giveBack(slot)
    }

    func store(_ value: UInt64, _ word: UInt32) { published.page.storeRelease(value, at: Int(word) * 8) }

    func wake(_ slot: UInt32) { _ = try? published.page.wake(at: Int(slot) * 8) }
}

/// The page that one client alone writes and the server reads: a count of accesses for each of its attachments.
final class OwnWords {
    static let byteCount: UInt32 = 4096
    private static let cacheLine: UInt32 = 64

    private let page: HeldPage
    private var words: WordList
    let published: PublishedWords
    let connection: UInt32
    /// Which attachments have a word.
    var attachments: Set<AttachmentID> = []

    init(_ page: consuming ReadOnlyPage, _ published: PublishedWords, connection: UInt32) {
        self.page = HeldPage(page)
        // The first words of all clients would be in each other's way in a cache, which knows a line by its place in a page.
        let line = connection % (Self.byteCount / Self.cacheLine)
        words = WordList(0..<Self.byteCount / 8, shiftedBy: line * Self.cacheLine / 8)
        self.published = published
        self.connection = connection
    }

    /// As its client is told of them.
    var pages: Pages {
        Pages(publishedByteCount: PublishedWords.byteCount, ownByteCount: Self.byteCount, connection: connection)
    }

    func take() -> UInt32? { words.take() }
    func giveBack(_ word: UInt32) { words.giveBack(word) }

    /// Where its client counts. It may say what it likes, of itself.
    func addCount(at word: UInt32, to words: inout HeldWords) { words.append(page, at: Int(word) * 8) }
}

/// The words of all who are attached to one buffer, side by side: a move looks at those who have its memory.
///
/// Who has not been granted the generation that moves cannot be inside an access to it, whatever the word says, and is
/// not looked at: the importers that sleep through many moves cost the first of them.
struct AttachedWords {
    private struct Entry {
        let attachment: AttachmentID
        let own: OwnWords
        let word: UInt32
    }

    /// First those who have been granted `generation`.
    private var entries: [Entry] = []
    /// In the same order.
    private var counts = HeldWords()
    private var places: [AttachmentID: Int] = [:]
    private var generation = Generation.first
    private var currentCount = 0

    subscript(attachment: AttachmentID) -> UInt32? { places[attachment].map { entries[$0].word } }

    mutating func add(_ attachment: AttachmentID, _ own: OwnWords, _ word: UInt32, _ generation: Generation) {
        let place = entries.count
        places[attachment] = place
        entries.append(Entry(attachment: attachment, own: own, word: word))
        own.addCount(at: word, to: &counts)
        own.attachments.insert(attachment)
        isGranted(generation, at: place)
    }

    /// An attachment that is here already has mapped anew.
    mutating func isGranted(_ generation: Generation, to attachment: AttachmentID) {
        if let place = places[attachment] { isGranted(generation, at: place) }
    }

    private mutating func isGranted(_ generation: Generation, at place: Int) {
        if generation != self.generation { (self.generation, currentCount) = (generation, 0) }
        guard place >= currentCount else { return }
        swap(place, currentCount)
        currentCount += 1
    }

    /// Gives its word back.
    mutating func remove(_ attachment: AttachmentID) {
        guard var place = places[attachment] else { return }
        if place < currentCount {
            currentCount -= 1
            swap(place, currentCount)
            place = currentCount
        }
        swap(place, entries.count - 1)
        places[attachment] = nil
        let entry = entries.removeLast()
        counts.removeLast()
        entry.own.attachments.remove(attachment)
        entry.own.giveBack(entry.word)
    }

    private mutating func swap(_ one: Int, _ other: Int) {
        guard one != other else { return }
        entries.swapAt(one, other)
        counts.swapAt(one, other)
        places[entries[one].attachment] = one
        places[entries[other].attachment] = other
    }

    /// Who counts anything of `generation`.
    func holders(of generation: Generation) -> [(attachment: AttachmentID, count: UInt32)] {
        guard generation == self.generation else { return [] }
        var holders: [(attachment: AttachmentID, count: UInt32)] = []
        var next = 0
        while let (index, count) = counts.firstNonZero(in: next..<currentCount) {
            holders.append((entries[index].attachment, UInt32(clamping: count)))
            next = index + 1
        }
        return holders
    }

    /// The same of one attachment.
    func count(of attachment: AttachmentID, _ generation: Generation) -> UInt32 {
        guard generation == self.generation, let place = places[attachment], place < currentCount,
            let (_, count) = counts.firstNonZero(in: place..<place + 1)
        else { return 0 }
        return UInt32(clamping: count)
    }
}
