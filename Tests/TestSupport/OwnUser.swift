// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// This process as another user, for the length of a closure. Needs root, and that no other test runs meanwhile.
public enum OwnUser {
    public static func with<Result>(_ user: UInt32, _ body: () throws -> Result) throws -> Result {
        // The real user is whom the kernel charges, the effective one whose privileges count; the saved one stays root.
        guard setreuid(user, 0) == 0, seteuid(user) == 0 else { throw Errno(rawValue: errno) }
        defer {
            _ = seteuid(0)
            _ = setreuid(0, 0)
        }
        return try body()
    }
}
