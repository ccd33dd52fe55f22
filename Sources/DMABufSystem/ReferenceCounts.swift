// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// The `count:` of dma-bufs of this process: how many references there are to the open file, read again and again while
/// a buffer is being released. Three system calls each time, and no allocation.
///
/// | Swift   | C functions                                    |
/// |---------|------------------------------------------------|
/// | `init`  | `open("/proc/thread-self/fdinfo")`, Linux 3.17 |
/// | `count` | `openat`, `read`, `close`                      |
public struct ReferenceCounts: ~Copyable, Sendable {
    private let folder: Descriptor

    /// For descriptors in the table of the calling thread, while that lives. (`/proc/self` shows the main thread's table,
    /// and not every thread need share it.)
    public init() throws(Errno) {
        folder = try .open("/proc/thread-self/fdinfo", .readOnly)
    }

    /// Whether this process may read its own fdinfo still: /proc may be mounted over, or closed to it.
    public var areReadable: Bool {
        do throws(Errno) { _ = try count(of: folder) } catch { return false }
        return true
    }

    /// The references to the open file, or nil where the kernel tells of none: it is no dma-buf, or its fdinfo is full of
    /// something else. The owned descriptor is one of them; the reading itself adds none that stays.
    ///
    /// Only what stands before `name:` counts: any holder chooses the name, and may put "\ncount:" into it. A holder
    /// may also take any number of locks on the file, each a line before ours, and they stay as long as the file is open
    /// anywhere. So where 64 KiB are full of them they are taken off, which whoever has the file may do, and we look
    /// once more; if it is hidden again, the answer is nil: whoever wants to know whether a buffer is released takes that for no.
    public borrowing func count(of descriptor: borrowing Descriptor) throws(Errno) -> Int? {
        let number = descriptor.number
        for attempt in 0..<2 {
            switch try look(at: number) {
            case .found(let count): return count
            case .none: return nil
            case .more: if attempt == 0 { FileLocks.takeOff(number) }
            }
        }
        return nil
    }

    /// `more` if the beginning is full of something else.
    private borrowing func look(at number: CInt) throws(Errno) -> CountParser.Outcome {
        let folder = self.folder.number
        var path = DecimalPath(number)
        let file = try valueOrErrno {
            unsafe path.withPointer { unsafe openat(folder, $0, O_RDONLY | O_CLOEXEC) }
        }
        defer { close(file) }
        var chunk = InlineArray<128, UInt64>(repeating: 0)
        var parser = CountParser()
        for _ in 0..<64 {
            let outcome = try unsafe withUnsafeMutableBytes(of: &chunk) {
                (space) throws(Errno) -> CountParser.Outcome in
                let length = try valueOrErrno { unsafe read(file, space.baseAddress!, space.count) }
                if length == 0 { return parser.end() }
                let text = unsafe RawSpan(_unsafeStart: space.baseAddress!, byteCount: length)
                return parser.feed(Span<UInt8>(_bytes: text))
            }
            if case .more = outcome { continue }
            return outcome
        }
        return .more
    }

    /// The count in the text of an fdinfo, in pieces of any size.
    package static func parse(_ pieces: [[UInt8]]) -> Int? {
        var parser = CountParser()
        for piece in pieces {
            switch parser.feed(piece.span) {
            case .found(let count): return count
            case .none: return nil
            case .more: continue
            }
        }
        if case .found(let count) = parser.end() { return count }
        return nil
    }
}

/// Looks for the line `count:` byte by byte, so that it does not matter where a read ended.
private struct CountParser {
    enum Outcome {
        case found(Int)
        /// There is none before `name:`, or it is no number.
        case none
        case more
    }

    private enum Place {
        /// So many bytes of the line so far have been those of `count:`, or of `name:`.
        case key(count: Int, name: Int)
        case otherLine
        case blanks
        case digits(Int)
    }

    private let countKey: [6 of UInt8] = [0x63, 0x6f, 0x75, 0x6e, 0x74, 0x3a]
    private let nameKey: [5 of UInt8] = [0x6e, 0x61, 0x6d, 0x65, 0x3a]
    private var place = Place.key(count: 0, name: 0)

    mutating func feed(_ bytes: Span<UInt8>) -> Outcome {
        for index in bytes.indices {
            let outcome = feed(bytes[index])
            if case .more = outcome { continue }
            return outcome
        }
        return .more
    }

    /// The text is over, with or without a line end.
    func end() -> Outcome {
        if case .digits(let value) = place { .found(value) } else { .none }
    }

    private mutating func feed(_ byte: UInt8) -> Outcome {
        switch place {
        case .key(let count, let name):
            if byte == 0x0a { place = .key(count: 0, name: 0) } else { return match(byte, count, name) }
        case .otherLine:
            if byte == 0x0a { place = .key(count: 0, name: 0) }
        case .blanks where byte == 0x09 || byte == 0x20: break
        case .blanks, .digits:
            var value = 0
            if case .digits(let before) = place {
                if byte == 0x0a { return .found(before) }
                value = before
            }
            guard byte >= 0x30, byte <= 0x39 else { return .none }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowToo) = product.addingReportingOverflow(Int(byte) - 0x30)
            if overflow || overflowToo { return .none }
            place = .digits(sum)
        }
        return .more
    }

    private mutating func match(_ byte: UInt8, _ count: Int, _ name: Int) -> Outcome {
        let isCount = count >= 0 && countKey[count] == byte
        let isName = name >= 0 && nameKey[name] == byte
        if isName, name + 1 == nameKey.count { return .none }
        if isCount, count + 1 == countKey.count {
            place = .blanks
        } else if isCount || isName {
            place = .key(count: isCount ? count + 1 : -1, name: isName ? name + 1 : -1)
        } else {
            place = .otherLine
        }
        return .more
    }
}

/// A number as a path, on the stack.
private struct DecimalPath {
    private var bytes = InlineArray<12, UInt8>(repeating: 0)
    private var start = 11

    init(_ number: CInt) {
        var rest = number
        repeat {
            start -= 1
            bytes[start] = UInt8(0x30 + rest % 10)
            rest /= 10
        } while rest > 0
    }

    mutating func withPointer(_ body: (UnsafePointer<CChar>) -> CInt) -> CInt {
        let start = self.start
        return unsafe withUnsafeBytes(of: &bytes) {
            unsafe body(($0.baseAddress! + start).assumingMemoryBound(to: CChar.self))
        }
    }
}
