// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// The names in a folder, in no order; none if it is missing or closed to us.
public enum Folder {
    /// The corresponding C functions are `opendir` and `readdir`.
    public static func names(_ path: String) -> [String] {
        guard let folder = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe text(of: entry.pointee.d_name)
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// Makes a folder, by default one that only this user may use; `fileExists` if something is there.
    ///
    /// The corresponding C function is `mkdir`.
    public static func create(_ path: String, mode: UInt32 = 0o700) throws(Errno) {
        try nothingOrErrno { unsafe mkdir(path, mode) }
    }

    /// Removes a folder that is empty; leaves any other alone.
    ///
    /// The corresponding C function is `rmdir`.
    public static func remove(_ path: String) { unsafe rmdir(path) }

    /// As `names`, and an error where it cannot be read.
    public static func readableNames(_ path: String) throws(Errno) -> [String] {
        guard let folder = unsafe opendir(path) else { throw Errno(rawValue: errno) }
        unsafe closedir(folder)
        return names(path)
    }
}

/// Small text files of `/proc` and `/sys`.
public enum Sysfs {
    /// All of a small file, at most `limit` bytes of it.
    public static func bytes(_ path: String, limit: Int = 1 << 20) throws(Errno) -> [UInt8] {
        let file = try Descriptor.open(path, .readOnly)
        return try file.readAll(limit: limit)
    }

    /// The text of a small file without the line end, or nil.
    public static func text(_ path: String) -> String? {
        guard let bytes = try? bytes(path) else { return nil }
        return String(decoding: bytes.last == 0x0a ? bytes.dropLast() : bytes[...], as: UTF8.self)
    }

    public static func integer(_ path: String) -> Int? { text(path).flatMap { Int($0) } }

    /// The target of a symbolic link as bytes: a dma-buf's may hold anything but NUL.
    ///
    /// The corresponding C function is `readlink`. It never touches the target.
    public static func link(_ path: String) throws(Errno) -> [UInt8] {
        var space = [UInt8](repeating: 0, count: 512)
        let count = try valueOrErrno { () -> Int in
            unsafe space.withUnsafeMutableBytes {
                unsafe readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
            }
        }
        space.removeLast(space.count - count)
        return space
    }
}

extension Descriptor {
    /// Reads into `range` of `bytes` and says how many came; none at the end of the file.
    ///
    /// The corresponding C function is `read`.
    public borrowing func read(into bytes: inout MutableRawSpan, _ range: Range<Int>) throws(Errno) -> Int {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.byteCount, "no room for \(range)")
        let number = self.number
        return try unsafe bytes.withUnsafeMutableBytes { (space) throws(Errno) in
            guard let start = space.baseAddress, !range.isEmpty else { return 0 }
            return try valueOrErrno { unsafe Glibc.read(number, start + range.lowerBound, range.count) }
        }
    }

    /// Writes all of `bytes` at `offset`, and leaves the file's own offset alone: a duplicate elsewhere shares it.
    ///
    /// The corresponding C function is `pwrite`.
    public borrowing func writeAll(_ bytes: [UInt8], at offset: Int) throws(Errno) {
        var done = 0
        let number = self.number
        while done < bytes.count {
            done += try valueOrErrno { () -> Int in
                unsafe bytes.withUnsafeBytes {
                    unsafe pwrite(number, $0.baseAddress! + done, $0.count - done, off_t(offset + done))
                }
            }
        }
    }

    /// The first `count` bytes, or fewer if the file ends before; its own offset stays where it is.
    ///
    /// The corresponding C function is `pread`.
    public borrowing func read(first count: Int) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        let number = self.number
        while done < count {
            let part = try valueOrErrno { () -> Int in
                unsafe bytes.withUnsafeMutableBytes {
                    unsafe pread(number, $0.baseAddress! + done, $0.count - done, off_t(done))
                }
            }
            if part == 0 { break }
            done += part
        }
        bytes.removeLast(count - done)
        return bytes
    }

    /// Reads to the end, but at most `limit` bytes.
    ///
    /// The corresponding C function is `read`.
    public borrowing func readAll(limit: Int) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        let number = self.number
        var chunk = [UInt8](repeating: 0, count: min(limit, 64 << 10))
        while bytes.count < limit {
            let want = min(chunk.count, limit - bytes.count)
            let count = try valueOrErrno { () -> Int in
                unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(number, $0.baseAddress!, want) }
            }
            if count == 0 { break }
            bytes.append(contentsOf: chunk.prefix(count))
        }
        return bytes
    }
}
