// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// Whom a file belongs to, and who may open it.
public struct FileOwner: Equatable, Sendable {
    public let user: UInt32
    public let group: UInt32
    /// The permission bits alone: 0o660.
    public let mode: UInt32

    public init(user: UInt32, group: UInt32, mode: UInt32) {
        self.user = user
        self.group = group
        self.mode = mode
    }

    /// Follows links, but never opens the file: asking wakes no device.
    ///
    /// The corresponding C function is `stat`.
    public init(of path: String) throws(Errno) {
        var status = stat()
        try nothingOrErrno { unsafe stat(path, &status) }
        self.init(user: status.st_uid, group: status.st_gid, mode: UInt32(status.st_mode) & 0o7777)
    }
}

/// Whether this process may open a file, as the kernel judges it for `open`: by the effective user and groups.
public enum FileAccess {
    /// Throws `permissionDenied`, `noSuchFileOrDirectory`, or what else `open` for reading and writing would meet.
    /// Nothing is opened, so what a driver or a device cgroup has to say is not in the answer.
    ///
    /// The corresponding C call is `faccessat(AT_EACCESS)`.
    public static func checkReadWrite(_ path: String) throws(Errno) {
        try nothingOrErrno { unsafe faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) }
    }
}
