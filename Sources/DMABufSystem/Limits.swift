// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// What this process may use at most.
public struct ResourceLimit: Equatable, Sendable {
    /// In force now; the process may raise it as far as `hard`. `UInt64.max` stands for no limit.
    public let soft: UInt64
    public let hard: UInt64

    public init(soft: UInt64, hard: UInt64) {
        self.soft = soft
        self.hard = hard
    }

    /// One more than the highest descriptor number.
    ///
    /// The corresponding C call is `getrlimit(RLIMIT_NOFILE)`.
    public static func openFiles() throws(Errno) -> ResourceLimit {
        var limit = rlimit()
        try nothingOrErrno { unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) }
        return ResourceLimit(soft: UInt64(limit.rlim_cur), hard: UInt64(limit.rlim_max))
    }

    /// Raises or lowers the soft limit, at most to the hard one.
    ///
    /// The corresponding C call is `setrlimit(RLIMIT_NOFILE)`.
    public static func setOpenFiles(soft: UInt64) throws(Errno) {
        var limit = rlimit(rlim_cur: rlim_t(soft), rlim_max: rlim_t(try openFiles().hard))
        try nothingOrErrno { unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) }
    }
}
