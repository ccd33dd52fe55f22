// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// Waiting for many descriptors.
///
/// | Swift    | C function                  |
/// |----------|-----------------------------|
/// | `init`   | `epoll_create1`             |
/// | `add`    | `epoll_ctl(EPOLL_CTL_ADD)`  |
/// | `remove` | `epoll_ctl(EPOLL_CTL_DEL)`  |
/// | `wait`   | `epoll_pwait2` or `epoll_wait` |
public struct Poller: ~Copyable, Sendable {
    private let descriptor: Descriptor

    public init() throws(Errno) {
        descriptor = Descriptor(adopting: try valueOrErrno { epoll_create1(CInt(EPOLL_CLOEXEC)) })
    }

    /// Watches `watched` for input (and hang-up, which is always reported); `token` comes back with each event.
    public borrowing func add(_ watched: borrowing Descriptor, token: UInt64) throws(Errno) {
        var event = unsafe epoll_event(events: EPOLLIN.rawValue, data: epoll_data(u64: token))
        let (poller, number) = (descriptor.number, watched.number)
        try nothingOrErrno { unsafe epoll_ctl(poller, EPOLL_CTL_ADD, number, &event) }
    }

    public borrowing func remove(_ watched: borrowing Descriptor) throws(Errno) {
        let (poller, number) = (descriptor.number, watched.number)
        try nothingOrErrno { epoll_ctl(poller, EPOLL_CTL_DEL, number, nil) }
    }

    /// The token of one ready descriptor, or nil at `deadline`. Fair: the kernel takes turns.
    public borrowing func next(until deadline: Deadline) throws(Errno) -> UInt64? {
        var event = unsafe epoll_event()
        let number = descriptor.number
        while true {
            // Rounded up: a rounded-down wait would spin through the last millisecond.
            let left = (deadline.remaining.clampedNanoseconds + 999_999) / 1_000_000
            do throws(Errno) {
                let count = try valueOrErrno(retryOnInterrupt: false) {
                    unsafe epoll_wait(number, &event, 1, CInt(min(left, 3_600_000)))
                }
                if count > 0 { return unsafe event.data.u64 }
                if deadline.hasPassed { return nil }
            } catch {
                guard error == .interrupted else { throw error }
            }
        }
    }
}
