// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// The one place that looks at `errno`. Calls that a signal may interrupt are made again, as swift-system does.

@inline(__always)
package func valueOrErrno<Value: FixedWidthInteger>(
    retryOnInterrupt: Bool = true, _ call: () -> Value
) throws(Errno) -> Value {
    while true {
        let value = call()
        if value != -1 { return value }
        let error = Errno(rawValue: errno)
        guard retryOnInterrupt, error == .interrupted else { throw error }
    }
}

@inline(__always)
package func nothingOrErrno<Value: FixedWidthInteger>(
    retryOnInterrupt: Bool = true, _ call: () -> Value
) throws(Errno) {
    _ = try valueOrErrno(retryOnInterrupt: retryOnInterrupt, call)
}
