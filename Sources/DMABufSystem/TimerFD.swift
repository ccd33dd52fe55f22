// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// A `CLOCK_MONOTONIC` alarm behind a descriptor; readable once it has gone off.
public struct TimerFD: ~Copyable, Sendable {
    public let descriptor: Descriptor

    /// The corresponding C function is `timerfd_create`.
    public init() throws(Errno) {
        descriptor = Descriptor(
            adopting: try valueOrErrno {
                timerfd_create(CLOCK_MONOTONIC, CInt(TFD_CLOEXEC | TFD_NONBLOCK))
            })
    }

    /// Goes off at `deadline`, once; nil disarms.
    ///
    /// The corresponding C function is `timerfd_settime`.
    public borrowing func set(_ deadline: Deadline?) throws(Errno) {
        var setting = itimerspec()
        if let deadline {
            let nanoseconds = max(deadline.nanoseconds, 1)  // zero would disarm
            setting.it_value = timespec(
                tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        }
        let number = descriptor.number
        try nothingOrErrno { unsafe timerfd_settime(number, CInt(TFD_TIMER_ABSTIME), &setting, nil) }
    }
}
