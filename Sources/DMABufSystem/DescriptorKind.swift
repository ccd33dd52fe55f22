// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// What a descriptor is, found out without calling anything on the file behind it: its link in `/proc/thread-self/fd` and its
/// fdinfo. A hostile FUSE file blocks `fstatfs`, `fstat`, `lseek`, `poll` and even `close` for ever; these two answer.
public enum DescriptorKind: Equatable, Sendable {
    case dmaBuf
    case syncFile
    case eventfd
    case pidfd
    case memfd
    /// Anything else; the link as the kernel shows it.
    case other(String)

    /// Throws only if `/proc` cannot be read or nothing is open under that number.
    public init(of descriptor: borrowing Descriptor) throws(Errno) {
        try self.init(ofNumber: descriptor.number)
    }

    init(ofNumber number: CInt) throws(Errno) {
        var seals: MemFD.Seals = []
        try self.init(ofNumber: number, seals: &seals)
    }

    fileprivate init(ofNumber number: CInt, seals: inout MemFD.Seals) throws(Errno) {
        let link = try DescriptorLink(ofNumber: number)
        if link.starts(with: "/dmabuf:") {
            // A plain file can be called this, but its fdinfo has no exporter; and the statfs type settles it, asked
            // only now that the file is known to be the kernel's own.
            let info = try FDInfo(ofNumber: number)
            if info.exporterName != nil, isDMABufFilesystem(number) {
                self = .dmaBuf
                return
            }
        } else if link.starts(with: "/memfd:") {
            // Of huge pages its owner can take away even sealed memory: a hole is filled from a pool that can be empty.
            if let found = try? MemFD.seals(ofNumber: number), hasOrdinaryPages(number) {
                seals = found
                self = .memfd
                return
            }
        } else if let kind = Self.anonymousInodes[link.text] {
            self = kind
            return
        }
        self = .other(link.text)
    }

    /// Whether the kernel itself is behind the file, so that closing it waits for nobody.
    var isKnown: Bool {
        if case .other = self { false } else { true }
    }

    /// Whether closing it waits for nobody and takes no time. Sockets are not among these, whose peers may be waited for and
    /// whose queues may hold anything; nor what has to be taken apart first, such as an epoll.
    var closesAtOnce: Bool {
        guard case .other(let link) = self else { return true }
        return link.hasPrefix("pipe:[") || link == "anon_inode:[timerfd]" || link == "anon_inode:[signalfd]"
    }

    /// No path on disk can look like these: a path starts with a slash.
    private static let anonymousInodes: [String: DescriptorKind] = [
        "anon_inode:sync_file": .syncFile,
        "anon_inode:[eventfd]": .eventfd,
        "anon_inode:[pidfd]": .pidfd,
    ]
}

/// What a descriptor has been found to be, for whoever need not look again: while it is open, it stays what it is.
public struct Identification: Sendable {
    public let kind: DescriptorKind
    /// Of a memfd; they had to be asked to know it, and are never taken off.
    public let seals: MemFD.Seals

    public init(of descriptor: borrowing Descriptor) throws(Errno) {
        try self.init(ofNumber: descriptor.number)
    }

    /// For who has just made it, and sealed it so.
    package init(memfdSealed seals: MemFD.Seals) {
        kind = .memfd
        self.seals = seals
    }

    init(ofNumber number: CInt) throws(Errno) {
        var seals: MemFD.Seals = []
        kind = try DescriptorKind(ofNumber: number, seals: &seals)
        self.seals = seals
    }
}

extension DescriptorKind: CustomStringConvertible {
    /// For a person, on one line: a link may hold control characters.
    public var description: String {
        switch self {
        case .dmaBuf: "a dma-buf"
        case .syncFile: "a sync_file"
        case .eventfd: "an eventfd"
        case .pidfd: "a pidfd"
        case .memfd: "a memfd"
        case .other(let link): "something else (\(link.escapedForDisplay))"
        }
    }
}

extension String {
    /// The text in quotation marks, and nothing in it that could end them.
    public var quotedForDisplay: String {
        let text = escapedForDisplay.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined()
        return "\"\(text)\""
    }

    /// The text with control characters as `\xNN`, so that a hostile name can neither break a line nor drive a terminal.
    public var escapedForDisplay: String {
        var escaped = ""
        for scalar in unicodeScalars {
            let value = scalar.value
            if value < 0x20 || (0x7f...0x9f).contains(value) || value == 0x061c || (0x200e...0x200f).contains(value)
                || (0x2028...0x202e).contains(value) || (0x2066...0x2069).contains(value)
            {
                escaped += value < 0x100 ? "\\x" + hex(value, digits: 2) : "\\u" + hex(value, digits: 4)
            } else {
                escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

private func hex(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}
