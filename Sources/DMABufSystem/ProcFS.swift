// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// `/proc`: which processes there are, what they hold open and what they have mapped.
public enum ProcFS {
    public static func processIDs() -> [Int] { Folder.names("/proc").compactMap { Int($0) }.sorted() }

    /// The descriptors of a process and the link of each. `permissionDenied` for another uid without
    /// `CAP_SYS_PTRACE`, `noSuchFileOrDirectory` if it has ended.
    public static func descriptorLinks(of process: Int) throws(Errno) -> [(number: Int, link: [UInt8])] {
        let folder = "/proc/\(process)/fd"
        return try Folder.readableNames(folder).compactMap { name in
            guard let number = Int(name), let link = try? Sysfs.link("\(folder)/\(name)") else { return nil }
            return (number, link)
        }
    }

    /// A line of `/proc/<pid>/maps`.
    public struct Mapping: Equatable, Sendable {
        public let start: UInt64
        public let end: UInt64
        /// The device number of the filesystem that the file is on, as `st_dev`.
        public let device: UInt64
        public let inode: UInt64
        /// The path as the kernel escapes it: a line end is `\012`.
        public let path: String

        /// nil for a line without an inode.
        public init?(parsing line: some StringProtocol) {
            let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            guard fields.count == 6, let inode = UInt64(fields[4]), inode != 0 else { return nil }
            let range = fields[0].split(separator: "-")
            guard range.count == 2, let start = UInt64(range[0], radix: 16), let end = UInt64(range[1], radix: 16)
            else { return nil }
            let numbers = fields[3].split(separator: ":").compactMap { UInt32($0, radix: 16) }
            guard numbers.count == 2 else { return nil }
            device = dmabuf_makedev(numbers[0], numbers[1])
            (self.start, self.end, self.inode) = (start, end, inode)
            path = String(fields[5].drop { $0 == " " })
        }
    }

    /// The file mappings of a process; errors as above.
    public static func mappings(of process: Int) throws(Errno) -> [Mapping] {
        let bytes = try Sysfs.bytes("/proc/\(process)/maps", limit: 64 << 20)
        return bytes.split(separator: 0x0a).compactMap { Mapping(parsing: String(decoding: $0, as: UTF8.self)) }
    }

    /// The size in bytes of the file behind a mapping: needs root, nil otherwise. It cannot be held by a hostile file.
    public static func byteCount(of mapping: Mapping, in process: Int) -> UInt64? {
        let range = "\(String(mapping.start, radix: 16))-\(String(mapping.end, radix: 16))"
        guard let file = try? identity("/proc/\(process)/map_files/\(range)"), file.identity.inode == mapping.inode
        else { return nil }
        return file.byteCount
    }

    /// The corresponding C call is `statx(AT_STATX_DONT_SYNC)`, which asks no file server.
    private static func identity(_ path: String) throws(Errno) -> (identity: FileIdentity, byteCount: UInt64) {
        var (device, inode, size): (UInt64, UInt64, UInt64) = (0, 0, 0)
        try nothingOrErrno { unsafe dmabuf_identity(path, &device, &inode, &size) }
        return (FileIdentity(device: device, inode: inode), size)
    }

    /// The command's name (at most 15 bytes), nil if the process has ended.
    public static func command(of process: Int) -> String? { Sysfs.text("/proc/\(process)/comm") }
}
