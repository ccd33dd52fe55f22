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
    public init(_ signals: [SignalNumber]) throws(Errno) {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal.rawValue) }
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

    /// A signal that arrived.
    public struct Signal: Equatable, Sendable {
        public let number: Int32
        /// Whether a process sent it, rather than the kernel (a terminal, say, which tells its whole process group).
        public let isFromProcess: Bool
    }

    /// The next signal that arrived, or nil.
    public borrowing func next() -> Signal? {
        var info = signalfd_siginfo()
        let number = descriptor.number
        let size = MemoryLayout<signalfd_siginfo>.size
        let count = unsafe withUnsafeMutableBytes(of: &info) { unsafe read(number, $0.baseAddress!, size) }
        guard count == size else { return nil }
        return Signal(number: Int32(bitPattern: info.ssi_signo), isFromProcess: info.ssi_code <= 0)
    }
}

/// The signals that are sent or awaited here.
public enum SignalNumber: Int32, Sendable {
    case hangUp = 1
    case interrupt = 2
    case quit = 3
    case kill = 9
    case user1 = 10
    case user2 = 12
    case terminate = 15
    case stop = 19
    case resume = 18
}
