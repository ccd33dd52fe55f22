// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// `/proc/<pid>/fdinfo/<fd>`: what the kernel says of an open file, without asking the file itself.
///
/// A dma-buf adds `size`, `count` (references: descriptors, mappings, in-flight messages, imports), `exp_name` and, last,
/// `name`. The name is any holder's choice and may hold line ends, so nothing after `name:` is a field.
public struct FDInfo: Equatable, Sendable {
    public let inode: UInt64?
    public let byteCount: UInt64?
    public let count: Int?
    public let exporterName: String?
    public let name: String?

    /// As much as is read: more than the kernel has to say of any file on which nobody took a thousand locks.
    static let limit = 64 << 10

    /// Reads this process's own, in the calling thread's table; needs no privilege.
    public init(ofOwn descriptor: borrowing Descriptor) throws(Errno) {
        self.init(parsing: try Self.bytes(ofNumber: descriptor.number))
    }

    /// As above, of what is known to be a dma-buf. Where locks fill the beginning they are taken off, which whoever has the
    /// file may do.
    package init(ofDMABuf descriptor: borrowing Descriptor) throws(Errno) {
        var bytes = try Self.bytes(ofNumber: descriptor.number)
        if bytes.count == Self.limit {
            FileLocks.takeOff(descriptor.number)
            bytes = try Self.bytes(ofNumber: descriptor.number)
        }
        self.init(parsing: bytes)
    }

    static func bytes(ofNumber number: CInt) throws(Errno) -> [UInt8] {
        try Sysfs.bytes("\(OwnTable.infos)\(number)", limit: limit)
    }

    /// Reads another process's: its own uid or `CAP_SYS_PTRACE` is needed, `permissionDenied` otherwise.
    public init(process: Int, descriptor: Int) throws(Errno) {
        self.init(parsing: try Sysfs.bytes("/proc/\(process)/fdinfo/\(descriptor)"))
    }

    /// Reads the lines; the first of each field counts.
    public init(parsing bytes: [UInt8]) {
        var fields: [String: String] = [:]
        var name: String?
        var rest = bytes[...]
        while !rest.isEmpty, name == nil {
            let line = rest.prefix { $0 != 0x0a }
            guard let colon = line.firstIndex(of: 0x3a) else {
                rest = rest.dropFirst(line.count + 1)
                continue
            }
            let key = String(decoding: line[..<colon], as: UTF8.self)
            if key == "name" {
                // To the end of the file, less the line end that the kernel puts behind it.
                let value = rest[line.index(after: colon)...].drop { $0 == 0x09 }
                name = String(decoding: value.last == 0x0a ? value.dropLast() : value, as: UTF8.self)
            } else {
                let value = line[line.index(after: colon)...].drop { $0 == 0x20 || $0 == 0x09 }
                fields[key] = fields[key] ?? String(decoding: value, as: UTF8.self)
                rest = rest.dropFirst(line.count + 1)
            }
        }
        inode = fields["ino"].flatMap { UInt64($0) }
        byteCount = fields["size"].flatMap { UInt64($0) }
        count = fields["count"].flatMap { Int($0) }
        exporterName = fields["exp_name"]
        self.name = name
    }
}
