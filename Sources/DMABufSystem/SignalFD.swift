// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// Signals as something to poll. They are blocked in the calling thread from here on, and restored when this ends.
@safe
public struct SignalFD: ~Copyable {
    public let descriptor: Descriptor
    private var previous = sigset_t()

    /// The corresponding C functions are `pthread_sigmask` and `signalfd`. Call it before any thread is started.
    public init(_ signals: [Int32]) throws(Errno) {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, &previous)
        descriptor = Descriptor(
            adopting: try valueOrErrno {
                unsafe signalfd(-1, &set, CInt(SFD_CLOEXEC | SFD_NONBLOCK))
            })
    }

    deinit {
        var mask = previous
        unsafe pthread_sigmask(SIG_SETMASK, &mask, nil)
    }

    /// The next signal that arrived, or nil.
    public borrowing func next() -> Int32? {
        var info = signalfd_siginfo()
        let number = descriptor.number
        let size = MemoryLayout<signalfd_siginfo>.size
        let count = unsafe withUnsafeMutableBytes(of: &info) { unsafe read(number, $0.baseAddress!, size) }
        return count == size ? Int32(bitPattern: info.ssi_signo) : nil
    }
}
