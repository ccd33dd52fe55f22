// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// Waiting for many descriptors: level-triggered, so what is not dealt with is told again.
///
/// | Swift    | C function                           |
/// |----------|--------------------------------------|
/// | `init`   | `epoll_create1`                      |
/// | `add`    | `epoll_ctl(EPOLL_CTL_ADD)`           |
/// | `change` | `epoll_ctl(EPOLL_CTL_MOD)`           |
/// | `remove` | `epoll_ctl(EPOLL_CTL_DEL)`           |
/// | `wait`   | `epoll_pwait2`, before Linux 5.11 `epoll_wait` |
public struct Poller: ~Copyable, Sendable {
    private let descriptor: Descriptor

    /// What to wait for. Hang-up and error are always told.
    public struct Interest: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static var input: Interest { Interest(rawValue: EPOLLIN.rawValue) }
        public static var output: Interest { Interest(rawValue: EPOLLOUT.rawValue) }
        /// Each time that the peer has read something, and once at first; input is not told.
        public static var outputEdges: Interest { Interest(rawValue: EPOLLOUT.rawValue | EPOLLET.rawValue) }
    }

    public init() throws(Errno) {
        descriptor = Descriptor(adopting: try valueOrErrno { epoll_create1(CInt(EPOLL_CLOEXEC)) })
    }

    /// Watches `watched`, of a known kind; `token` comes back with each event. `fileExists` if it is watched already.
    ///
    /// The kernel watches the open file, not the number: remove it before it is closed if a duplicate may be open
    /// elsewhere (in a child, in a message), or its events go on.
    public borrowing func add(
        _ watched: borrowing Descriptor, token: UInt64, for interest: Interest = .input
    ) throws(Errno) {
        try control(EPOLL_CTL_ADD, watched, token, interest)
    }

    /// Waits for something else, or under another token. With no interest only hang-up and error are told.
    public borrowing func change(
        _ watched: borrowing Descriptor, token: UInt64, for interest: Interest
    ) throws(Errno) {
        try control(EPOLL_CTL_MOD, watched, token, interest)
    }

    public borrowing func remove(_ watched: borrowing Descriptor) throws(Errno) {
        let (poller, number) = (descriptor.number, watched.number)
        try nothingOrErrno { epoll_ctl(poller, EPOLL_CTL_DEL, number, nil) }
    }

    private borrowing func control(
        _ operation: CInt, _ watched: borrowing Descriptor, _ token: UInt64, _ interest: Interest
    ) throws(Errno) {
        var event = unsafe epoll_event(events: interest.rawValue, data: epoll_data(u64: token))
        let (poller, number) = (descriptor.number, watched.number)
        try nothingOrErrno { unsafe epoll_ctl(poller, operation, number, &event) }
    }

    /// Fills `events` with what is ready by `deadline` (nil: whenever), with one system call and no allocation. None at
    /// the deadline, and none when a signal interrupts, so that the caller's loop decides.
    public borrowing func wait(into events: inout PollerEvents, until deadline: Deadline?) throws(Errno) {
        let left = deadline.map { Int64(clamping: $0.nanosecondsRemaining) } ?? -1
        try events.fill(descriptor.number, timeout: left)
    }

    /// The token of one ready descriptor, or nil at `deadline`. Fair: the kernel takes turns.
    public borrowing func next(until deadline: Deadline) throws(Errno) -> UInt64? {
        var event = unsafe epoll_event()
        let number = descriptor.number
        while true {
            let left = Int64(clamping: deadline.nanosecondsRemaining)
            do throws(Errno) {
                let count = try valueOrErrno(retryOnInterrupt: false) {
                    unsafe dmabuf_epoll_wait(number, &event, 1, left)
                }
                if count > 0 { return unsafe event.data.u64 }
                if deadline.hasPassed { return nil }
            } catch {
                guard error == .interrupted else { throw error }
            }
        }
    }
}

/// Up to 64 events of one wait. The caller keeps it and has it filled again and again.
@safe
public struct PollerEvents: ~Copyable, Sendable {
    public static let capacity = 64
    /// On the heap: whoever asks for an event would else be given a copy of all.
    private var events = unsafe [epoll_event](repeating: epoll_event(), count: capacity)
    public private(set) var count = 0

    public init() {}

    /// What is ready on one descriptor.
    public struct Event: Equatable, Sendable {
        public let token: UInt64
        let flags: UInt32

        public var isReadable: Bool { flags & EPOLLIN.rawValue != 0 }
        public var isWritable: Bool { flags & EPOLLOUT.rawValue != 0 }
        /// The other end is gone. What it sent before may still be there to read.
        public var hasHungUp: Bool { flags & EPOLLHUP.rawValue != 0 }
        public var hasFailed: Bool { flags & EPOLLERR.rawValue != 0 }
    }

    public subscript(index: Int) -> Event {
        precondition(index >= 0 && index < count, "no event \(index) among \(count)")
        return unsafe Event(token: events[index].data.u64, flags: events[index].events)
    }

    fileprivate mutating func fill(_ poller: CInt, timeout: Int64) throws(Errno) {
        count = 0
        do throws(Errno) {
            count = Int(
                try valueOrErrno(retryOnInterrupt: false) {
                    unsafe events.withUnsafeMutableBufferPointer {
                        unsafe dmabuf_epoll_wait(poller, $0.baseAddress!, CInt($0.count), timeout)
                    }
                })
        } catch {
            guard error == .interrupted else { throw error }
        }
    }
}
