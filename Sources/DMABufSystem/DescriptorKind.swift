// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// What a descriptor is, found out without calling anything on the file behind it: its link in ``OwnTable/links`` and its
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
        if let known = DescriptorKind(try Identification(ofNumber: number)) {
            self = known
        } else {
            self = .other(try DescriptorLink.text(ofNumber: number))
        }
    }

    /// nil for what is of no known kind.
    init?(_ found: Identification) {
        switch found.kind {
        case .dmaBuf: self = .dmaBuf
        case .syncFile: self = .syncFile
        case .eventfd: self = .eventfd
        case .pidfd: self = .pidfd
        case .memfd: self = .memfd
        case nil: return nil
        }
    }

    /// Whether closing it waits for nobody and takes no time. Sockets are not among these, whose peers may be waited for and
    /// whose queues may hold anything; nor what has to be taken apart first, such as an epoll.
    var closesAtOnce: Bool {
        guard case .other(let link) = self else { return true }
        return link.hasPrefix("pipe:[") || link == "anon_inode:[timerfd]" || link == "anon_inode:[signalfd]"
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
