// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A moment on `CLOCK_MONOTONIC`, in nanoseconds: by then a wait ends, whatever happened. The kernel's own waits
/// (syncobj, sync_file deadlines, timers) count on the same clock.
public struct Deadline: Hashable, Comparable, Sendable {
    public let nanoseconds: UInt64

    public init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    public static func now() -> Deadline {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Deadline(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }

    /// `duration` from now; a negative one has passed already.
    public static func after(_ duration: Duration) -> Deadline {
        now().advanced(by: duration)
    }

    /// `duration` later; the end of time at most.
    public func advanced(by duration: Duration) -> Deadline {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.clampedNanoseconds)
        return Deadline(nanoseconds: overflow ? .max : sum)
    }

    public static func < (earlier: Deadline, later: Deadline) -> Bool { earlier.nanoseconds < later.nanoseconds }

    /// What is left of it, zero when it has passed.
    public var remaining: Duration { .nanoseconds(Int64(clamping: nanosecondsRemaining)) }

    /// The same for a loop: a `Duration` counts in 128 bits.
    var nanosecondsRemaining: UInt64 {
        let now = Deadline.now().nanoseconds
        return now < nanoseconds ? nanoseconds - now : 0
    }

    public var hasPassed: Bool { self <= .now() }

    var timespecRemaining: timespec {
        let left = nanosecondsRemaining
        return timespec(tv_sec: Int(left / 1_000_000_000), tv_nsec: Int(left % 1_000_000_000))
    }
}

extension Duration {
    /// Whole nanoseconds from 0 to about 292 years.
    public var clampedNanoseconds: UInt64 {
        // Most are short, and need no division of 128 bits.
        if let short = UInt64(exactly: attoseconds) { return short / 1_000_000_000 }
        guard self > .zero else { return 0 }
        return UInt64(Int64(clamping: attoseconds / 1_000_000_000))
    }
}

/// Sleeping, for the rare place that has nothing to wait on.
public enum Clock {
    /// The corresponding C function is `clock_nanosleep`.
    public static func sleep(_ duration: Duration) {
        var time = Deadline.after(duration).timespecRemaining
        var rest = timespec()
        while unsafe nanosleep(&time, &rest) != 0 { time = rest }
    }
}
