// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// Anonymous memory files and their seals.
///
/// | Swift      | C call                  | since      |
/// |------------|-------------------------|------------|
/// | `create`   | `memfd_create`          | Linux 3.17 |
/// | `addSeals` | `fcntl(F_ADD_SEALS)`    | Linux 3.17 |
/// | `seals`    | `fcntl(F_GET_SEALS)`    | Linux 3.17 |
public enum MemFD {
    /// What may no longer be done to the file, by anyone and for ever (`F_SEAL_*`).
    public struct Seals: OptionSet, Sendable {
        public let rawValue: Int32
        public init(rawValue: Int32) { self.rawValue = rawValue }

        public static var seal: Seals { Seals(rawValue: 0x1) }
        public static var shrink: Seals { Seals(rawValue: 0x2) }
        public static var grow: Seals { Seals(rawValue: 0x4) }
        public static var write: Seals { Seals(rawValue: 0x8) }
        /// No new writable mapping and no `write`; mappings made before stay writable. Linux 5.1.
        public static var futureWrite: Seals { Seals(rawValue: 0x10) }
    }

    /// A memory file of `byteCount` zero bytes that allows sealing. The caller owns it.
    ///
    /// The corresponding C functions are `memfd_create` and `ftruncate`.
    public static func create(named name: String, byteCount: UInt64) throws(Errno) -> Descriptor {
        guard let size = Int(exactly: byteCount) else { throw .fileTooLarge }
        // Not by bridging, which makes an array of it.
        let file = Descriptor(
            adopting: try valueOrErrno { unsafe name.withCString { unsafe dmabuf_memfd_create($0) } })
        let number = file.number
        try nothingOrErrno { ftruncate(number, size) }
        return file
    }

    /// The corresponding C call is `fcntl(F_ADD_SEALS)`.
    public static func addSeals(_ file: borrowing Descriptor, _ seals: Seals) throws(Errno) {
        let number = file.number
        try nothingOrErrno { fcntl(number, CInt(DMABUF_F_ADD_SEALS), seals.rawValue) }
    }

    /// Throws `invalidArgument` for anything that is not a memory file. Safe on any descriptor: it never blocks.
    ///
    /// The corresponding C call is `fcntl(F_GET_SEALS)`.
    public static func seals(of file: borrowing Descriptor) throws(Errno) -> Seals {
        try seals(ofNumber: file.number)
    }

    static func seals(ofNumber number: CInt) throws(Errno) -> Seals {
        Seals(rawValue: try valueOrErrno { fcntl(number, CInt(DMABUF_F_GET_SEALS)) })
    }
}
