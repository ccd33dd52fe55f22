// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// An advisory lock on the folder that a file lies in: it leaves no lock file behind, and death releases it.
///
/// The corresponding C function is `flock`.
public struct FolderLock: ~Copyable, Sendable {
    private let folder: Descriptor

    /// Locks the folder of `path`; `timedOut` if someone else holds it until `deadline`.
    public init(holding path: String, until deadline: Deadline) throws(Errno) {
        let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let folder = try Descriptor.open(parent, .readOnly)
        while true {
            do throws(Errno) {
                let number = folder.number
                try nothingOrErrno { flock(number, LOCK_EX | LOCK_NB) }
                break
            } catch {
                guard error == .wouldBlock else { throw error }
                if deadline.hasPassed { throw .timedOut }
                usleep(2000)
            }
        }
        self.folder = folder
    }

    public consuming func unlock() {}
}

/// What lies at a path, without following a link.
public enum FileType: Sendable {
    case missing, socket, other

    /// The corresponding C function is `lstat`.
    public init(at path: String) {
        var status = stat()
        if unsafe lstat(path, &status) != 0 {
            self = .missing
        } else {
            self = status.st_mode & S_IFMT == S_IFSOCK ? .socket : .other
        }
    }

    /// The permission bits of what lies at `path`.
    ///
    /// The corresponding C function is `lstat`, field `st_mode`.
    public static func permissions(_ path: String) throws(Errno) -> UInt32 {
        var status = stat()
        try nothingOrErrno { unsafe lstat(path, &status) }
        return status.st_mode & 0o7777
    }

    /// The corresponding C function is `unlink`.
    public static func remove(_ path: String) throws(Errno) {
        try nothingOrErrno { unsafe unlink(path) }
    }
}
