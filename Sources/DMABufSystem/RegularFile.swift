// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// A file that somebody wrote, such as a configuration.
public enum RegularFile {
    /// Its bytes, at most `limit`. `invalidArgument` for what is no regular file: a pipe would make its reader wait.
    ///
    /// The corresponding C functions are `open`, `fstat` and `read`.
    public static func bytes(_ path: String, limit: Int) throws(Errno) -> [UInt8] {
        let number = try valueOrErrno { unsafe open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) }
        let file = Descriptor(adopting: number)
        var status = stat()
        try nothingOrErrno { unsafe fstat(number, &status) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .invalidArgument }
        return try file.readAll(limit: limit)
    }
}
