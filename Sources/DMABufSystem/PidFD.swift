// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// A process as a descriptor: readable once it has ended, and never another process of the same number.
public struct PidFD: ~Copyable, Sendable {
    public let descriptor: Descriptor

    /// The corresponding system call is `pidfd_open`, Linux 5.3. Throws `noSuchProcess`.
    public init(_ process: Int32) throws(Errno) {
        descriptor = Descriptor(adopting: try valueOrErrno { dmabuf_pidfd_open(process) })
    }

    /// Another descriptor of the same process.
    public init(duplicating other: borrowing PidFD) throws(Errno) {
        descriptor = try other.descriptor.duplicate()
    }

    init(adopting descriptor: consuming Descriptor) {
        self.descriptor = descriptor
    }

    /// Whether the process has ended; it may not have been reaped yet.
    ///
    /// The corresponding C function is `poll`.
    public var hasEnded: Bool {
        get throws(Errno) { try !Poll.wait(descriptor, for: .readable, until: .now()).isEmpty }
    }

    /// The corresponding system call is `pidfd_send_signal`, Linux 5.1.
    public borrowing func send(_ signal: Int32) throws(Errno) {
        let number = descriptor.number
        try nothingOrErrno { dmabuf_pidfd_send_signal(number, signal) }
    }

    public consuming func intoDescriptor() -> Descriptor { descriptor }
}
