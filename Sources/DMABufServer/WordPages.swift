// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage

/// Words of a page, given out and taken back.
struct WordList {
    private var next: UInt32
    private let end: UInt32
    private var free: [UInt32] = []

    init(_ range: Range<UInt32>) {
        next = range.lowerBound
        end = range.upperBound
    }

    mutating func take() -> UInt32? {
        if let word = free.popLast() { return word }
        guard next < end else { return nil }
        next += 1
        return next - 1
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

    private let page: ReadOnlyPage
    private var words = WordList(0..<byteCount / 8)
    let published: PublishedWords
    let connection: UInt32
    /// Which attachments have a word.
    var attachments: Set<AttachmentID> = []

    init(_ page: consuming ReadOnlyPage, _ published: PublishedWords, connection: UInt32) {
        self.page = page
        self.published = published
        self.connection = connection
    }

    /// As its client is told of them.
    var pages: Pages {
        Pages(publishedByteCount: PublishedWords.byteCount, ownByteCount: Self.byteCount, connection: connection)
    }

    func take() -> UInt32? { words.take() }
    func giveBack(_ word: UInt32) { words.giveBack(word) }

    /// Its client may say what it likes, of itself.
    func count(_ word: UInt32) -> UInt32 { UInt32(clamping: page.words.loadAcquire64(at: Int(word) * 8)) }
}
