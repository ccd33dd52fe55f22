// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

// Words that two processes share: a sealed memory file that one of them writes and another reads. Its size is fixed for
// ever, so touching it never faults, whatever the other side does.
//
// | Swift           | C call                                      | since      |
// |-----------------|---------------------------------------------|------------|
// | `create`        | `memfd_create`, `fallocate`, `F_ADD_SEALS`  | Linux 5.1  |
// | `init(mapping)` | `F_GET_SEALS`, `mmap`, `MADV_DONTFORK`      |            |
// | `load…`, `add…` | C11 `__atomic_…`                            |            |
// | `wait`, `wake`  | `futex`, `FUTEX_WAIT_BITSET`, `FUTEX_WAKE`  |            |

/// A control page that this process writes.
public struct WritablePage: ~Copyable, Sendable {
    public let words: PageWords

    /// Makes a page that this process alone can write, now and later: `file` is what the readers get. `byteCount` is a
    /// multiple of 8, filled with zeros. After this nobody can map it writable again, not even its maker.
    public static func create(named name: String, byteCount: Int) throws(Errno) -> PublishedPage {
        let file = try sealedFile(named: name, byteCount: byteCount)
        let words = try PageWords(file, byteCount: byteCount, writable: true, hasMore: true)
        try MemFD.addSeals(file, [.futureWrite, .seal])
        return PublishedPage(page: WritablePage(words: words), file: file)
    }

    /// Makes a page for another process to write, which it maps with ``init(mapping:byteCount:)``; its maker reads.
    public static func createForPeer(named name: String, byteCount: Int) throws(Errno) -> Descriptor {
        let file = try sealedFile(named: name, byteCount: byteCount)
        try MemFD.addSeals(file, .seal)
        return file
    }

    /// Maps a page that a peer made for us to write. `invalidArgument` unless it is a memory file of exactly `byteCount`
    /// bytes that can neither shrink nor grow.
    public init(mapping file: borrowing Descriptor, byteCount: Int) throws(Errno) {
        try checkPage(file, byteCount: byteCount, sealed: [.shrink, .grow])
        words = try PageWords(file, byteCount: byteCount, writable: true)
    }

    private init(words: consuming PageWords) {
        self.words = words
    }

    private static func sealedFile(named name: String, byteCount: Int) throws(Errno) -> Descriptor {
        guard byteCount > 0, byteCount % 8 == 0 else { throw .invalidArgument }
        let file = try MemFD.create(named: name, byteCount: UInt64(byteCount))
        let number = file.number
        // All of it now, and with an error: later it would be a fault.
        try nothingOrErrno { dmabuf_fallocate(number, byteCount) }
        try MemFD.addSeals(file, [.shrink, .grow])
        return file
    }

    // The offset counts bytes, and is a multiple of the word's size; anything else traps.

    public borrowing func storeRelease(_ value: UInt64, at offset: Int) {
        unsafe dmabuf_store_release_64(words.address(offset, 8), value)
    }
    public borrowing func storeRelease(_ value: UInt32, at offset: Int) {
        unsafe dmabuf_store_release_32(words.address(offset, 4), value)
    }
    /// Returns what was there before; wraps around. So do the other three.
    @discardableResult
    public borrowing func addRelaxed(_ value: UInt64, at offset: Int) -> UInt64 {
        unsafe dmabuf_add_relaxed_64(words.address(offset, 8), value)
    }
    @discardableResult
    public borrowing func addSequential(_ value: UInt64, at offset: Int) -> UInt64 {
        unsafe dmabuf_add_sequential_64(words.address(offset, 8), value)
    }
    @discardableResult
    public borrowing func addRelaxed(_ value: UInt32, at offset: Int) -> UInt32 {
        unsafe dmabuf_add_relaxed_32(words.address(offset, 4), value)
    }
    @discardableResult
    public borrowing func addSequential(_ value: UInt32, at offset: Int) -> UInt32 {
        unsafe dmabuf_add_sequential_32(words.address(offset, 4), value)
    }

    /// In no order that anybody could rely on.
    borrowing func copy(_ bytes: Span<UInt8>, to offset: Int) {
        precondition(offset >= 0 && offset <= words.byteCount - bytes.count, "no room at \(offset)")
        guard bytes.count > 0 else { return }
        unsafe bytes.withUnsafeBytes {
            unsafe words.address(offset, 1).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
        }
    }

    /// Wakes at most `count` who wait at that word, in any process, and returns how many there were.
    ///
    /// The corresponding C call is `futex(FUTEX_WAKE)`.
    @discardableResult
    public borrowing func wake(at offset: Int, atMost count: Int32 = .max) throws(Errno) -> Int {
        let word = unsafe words.word32(offset)
        return Int(try valueOrErrno { unsafe dmabuf_futex_wake(word, count) })
    }
}

/// A page and its file, for those who are to read it.
@frozen
public struct PublishedPage: ~Copyable, Sendable {
    public var page: WritablePage
    public var file: Descriptor
}

/// A control page that another process writes.
public struct ReadOnlyPage: ~Copyable, Sendable {
    public let words: PageWords

    /// Maps what a peer sent, to read. `invalidArgument` unless it is a memory file of exactly `byteCount` bytes with at
    /// least the seals `sealed`; nothing is called on a file of another kind.
    ///
    /// With `futureWrite`, which ``published`` has, nobody but its maker writes it. The page that a peer writes for us has
    /// ``ofPeer``.
    public init(
        mapping file: borrowing Descriptor, byteCount: Int, sealed seals: MemFD.Seals = published
    ) throws(Errno) {
        try checkPage(file, byteCount: byteCount, sealed: seals)
        words = try PageWords(file, byteCount: byteCount, writable: false)
    }

    public static var published: MemFD.Seals { [.shrink, .grow, .futureWrite, .seal] }
    public static var ofPeer: MemFD.Seals { [.shrink, .grow] }
}

/// A page that another process writes, and that stays mapped for as long as anyone holds it or one of its words.
public final class HeldPage: Sendable {
    public let page: ReadOnlyPage

    public init(_ page: consuming ReadOnlyPage) { self.page = page }
}

/// Words of many such pages, in a row: to look at all of them is a load for each. No page is retained for it, which
/// would be a write to another cache line and keep the processor from looking at several at once.
@safe
public struct HeldWords: @unchecked Sendable {
    private var addresses: [UnsafePointer<UInt64>] = unsafe []
    /// What keeps each of them mapped.
    private var pages: [HeldPage] = []

    public init() {}

    public mutating func append(_ page: HeldPage, at offset: Int) {
        unsafe addresses.append(UnsafePointer(page.page.words.address(offset, 8).assumingMemoryBound(to: UInt64.self)))
        pages.append(page)
    }

    public mutating func swapAt(_ one: Int, _ other: Int) {
        unsafe addresses.swapAt(one, other)
        pages.swapAt(one, other)
    }

    public mutating func removeLast() {
        unsafe addresses.removeLast()
        pages.removeLast()
    }

    /// The first of those at `range` that is not zero, loaded as ``PageWords/loadAcquire64(at:)`` does.
    public func firstNonZero(in range: Range<Int>) -> (index: Int, value: UInt64)? {
        for index in range {
            let value = unsafe dmabuf_load_acquire_64(addresses[index])
            if value != 0 { return (index, value) }
        }
        return nil
    }
}

/// The words of a page; the mapping ends with the value, and no child inherits it.
@safe
public struct PageWords: ~Copyable, @unchecked Sendable {
    private let start: UnsafeMutableRawPointer
    public let byteCount: Int
    /// With the memory of this process alone behind it.
    private let mappedCount: Int

    /// With `hasMore` a page of memory that nobody else sees is right behind it.
    fileprivate init(
        _ file: borrowing Descriptor, byteCount: Int, writable: Bool, hasMore: Bool = false
    ) throws(Errno) {
        let number = file.number
        let protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
        let size = Int(getpagesize())
        mappedCount = hasMore ? (byteCount + size - 1) / size * size + size : byteCount
        var mapped: UnsafeMutableRawPointer?
        if hasMore {
            // Both at once, so that nothing else can be there, and then the file over the first part.
            unsafe mapped = unsafe mmap(nil, mappedCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            if unsafe mapped == MAP_FAILED { throw Errno(rawValue: errno) }
        }
        let place = unsafe mapped
        unsafe mapped = unsafe mmap(place, byteCount, protection, MAP_SHARED | (hasMore ? MAP_FIXED : 0), number, 0)
        guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else {
            let error = Errno(rawValue: errno)
            if hasMore { unsafe munmap(place, mappedCount) }
            throw error
        }
        // A copy in a child would hold the memory for as long as that lives. It cannot fail on a mapping just made.
        unsafe madvise(mapped, byteCount, CInt(MADV_DONTFORK))
        unsafe start = mapped
        self.byteCount = byteCount
    }

    deinit { unsafe munmap(start, mappedCount) }

    /// What belongs to the words at `offset`, which are in the last page of memory, in the memory behind.
    borrowing func behind(_ offset: Int) -> UnsafeMutableRawPointer {
        let (size, end) = (Int(getpagesize()), mappedCount)
        precondition(offset % 8 == 0 && offset + size < end && offset + 2 * size >= end, "nothing is behind \(offset)")
        return unsafe start + offset + size
    }

    /// `size` bytes of it for something of this module's that is no word.
    borrowing func room(_ offset: Int, _ size: Int) -> UnsafeMutableRawPointer {
        precondition(offset >= 0 && offset % 8 == 0 && offset <= byteCount - size, "no room at \(offset)")
        return unsafe start + offset
    }

    fileprivate borrowing func address(_ offset: Int, _ size: Int) -> UnsafeMutableRawPointer {
        precondition(
            offset >= 0 && offset % size == 0 && offset <= byteCount - size,
            "no word at \(offset) of \(byteCount)")
        return unsafe start + offset
    }

    fileprivate borrowing func word32(_ offset: Int) -> UnsafePointer<UInt32> {
        unsafe UnsafePointer(address(offset, 4).assumingMemoryBound(to: UInt32.self))
    }

    public borrowing func loadAcquire64(at offset: Int) -> UInt64 { unsafe dmabuf_load_acquire_64(address(offset, 8)) }
    public borrowing func loadRelaxed64(at offset: Int) -> UInt64 { unsafe dmabuf_load_relaxed_64(address(offset, 8)) }
    public borrowing func loadAcquire32(at offset: Int) -> UInt32 { unsafe dmabuf_load_acquire_32(address(offset, 4)) }
    public borrowing func loadRelaxed32(at offset: Int) -> UInt32 { unsafe dmabuf_load_relaxed_32(address(offset, 4)) }

    /// Waits while the 32-bit word is `value`, until someone wakes or `deadline` (nil: for ever) comes: false then. May
    /// return true without a cause, so look at the word again. Of a 64-bit word the low half is at its own offset.
    ///
    /// The corresponding C call is `futex(FUTEX_WAIT_BITSET)`, which a read-only mapping allows.
    public borrowing func wait(at offset: Int, while value: UInt32, until deadline: Deadline?) throws(Errno) -> Bool {
        let word = unsafe word32(offset)
        do throws(Errno) {
            // The end of time as it can be said in a timespec.
            let end = min(deadline?.nanoseconds ?? .max, UInt64(Int64.max))
            try nothingOrErrno { unsafe dmabuf_futex_wait(word, value, deadline == nil ? .max : end) }
        } catch {
            switch error {
            case .timedOut: return false
            case .resourceTemporarilyUnavailable: break
            default: throw error
            }
        }
        return true
    }
}

/// Orders what this thread does before it and after it, for all.
public enum MemoryFence {
    /// The corresponding C function is `atomic_thread_fence(memory_order_seq_cst)`.
    public static func sequential() { dmabuf_fence_sequential() }
}

/// The kind first: on a hostile file anything else would wait for ever.
private func checkPage(_ file: borrowing Descriptor, byteCount: Int, sealed seals: MemFD.Seals) throws(Errno) {
    guard byteCount > 0, byteCount % 8 == 0, try DescriptorKind(of: file) == .memfd,
        try MemFD.seals(of: file).isSuperset(of: seals), try file.status().byteCount == UInt64(byteCount)
    else { throw .invalidArgument }
}
