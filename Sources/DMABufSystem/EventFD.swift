// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// A counter behind a descriptor; readable while it is above zero.
public struct EventFD: ~Copyable, Sendable {
    public let descriptor: Descriptor

    /// The corresponding C function is `eventfd`.
    public init() throws(Errno) {
        descriptor = Descriptor(
            adopting: try valueOrErrno { eventfd(0, CInt(EFD_CLOEXEC | EFD_NONBLOCK)) })
    }

    /// Raises the counter, which wakes whoever polls.
    ///
    /// The corresponding C function is `eventfd_write`.
    public borrowing func signal() throws(Errno) {
        let number = descriptor.number
        try nothingOrErrno { eventfd_write(number, 1) }
    }

    /// Takes the counter to zero and returns what it was, or nil if it was zero.
    ///
    /// The corresponding C function is `eventfd_read`.
    public borrowing func drain() -> UInt64? {
        var value: UInt64 = 0
        return unsafe eventfd_read(descriptor.number, &value) == 0 ? value : nil
    }

    public consuming func intoDescriptor() -> Descriptor { descriptor }
}
