// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// The beginning of what an open descriptor is a link to in ``OwnTable/links``: as much as tells the kernel's own files
/// apart. Every descriptor that comes is looked at so: no string is made on the way.
///
/// The corresponding C function is `readlink`. It never touches the target.
struct DescriptorLink {
    /// One more than the longest that is looked for, so that what goes on behind it is another.
    private var bytes = InlineArray<32, UInt8>(repeating: 0)
    private var count = 0

    init(ofNumber number: CInt) throws(Errno) {
        let path = Self.path(number)
        count = try valueOrErrno { () -> Int in
            unsafe withUnsafeBytes(of: path) { path in
                unsafe withUnsafeMutableBytes(of: &bytes) { bytes in
                    unsafe readlink(
                        path.baseAddress!.assumingMemoryBound(to: CChar.self),
                        bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count)
                }
            }
        }
    }

    /// Ends with a NUL, and has room for every number.
    private static func path(_ number: CInt) -> InlineArray<32, UInt8> {
        let folder = OwnTable.links
        var path = InlineArray<32, UInt8>(repeating: 0)
        for index in 0..<folder.utf8CodeUnitCount { path[index] = unsafe folder.utf8Start[index] }
        var (end, rest) = (folder.utf8CodeUnitCount + 1, number / 10)
        while rest > 0 { (end, rest) = (end + 1, rest / 10) }
        rest = number
        for index in (folder.utf8CodeUnitCount..<end).reversed() {
            path[index] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
        return path
    }

    func starts(with text: StaticString) -> Bool {
        let length = text.utf8CodeUnitCount
        guard length <= count else { return false }
        return unsafe withUnsafeBytes(of: bytes) { unsafe memcmp($0.baseAddress!, text.utf8Start, length) == 0 }
    }

    static func == (link: DescriptorLink, text: StaticString) -> Bool {
        link.count == text.utf8CodeUnitCount && link.starts(with: text)
    }

    /// All of it, for a person. An open descriptor stays what it is, so asking again answers the same.
    static func text(ofNumber number: CInt) throws(Errno) -> String {
        String(decoding: try Sysfs.link("\(OwnTable.links)\(number)"), as: UTF8.self)
    }
}
