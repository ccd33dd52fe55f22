// SPDX-License-Identifier: Apache-2.0

/// A point on the clock of whoever runs the registry, in nanoseconds (`CLOCK_MONOTONIC` in the server, a counter in the
/// simulator). The rules compare instants and never read a clock.
public struct Instant: Hashable, Comparable, Sendable {
    public let nanoseconds: UInt64
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    public static func < (earlier: Instant, later: Instant) -> Bool { earlier.nanoseconds < later.nanoseconds }

    /// The far end of the clock is a wall, not a trap: a client chooses the interval.
    public static func + (instant: Instant, interval: Interval) -> Instant {
        let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(interval.nanoseconds)
        return Instant(nanoseconds: overflow ? .max : sum)
    }
}

/// A length of time.
public struct Interval: Hashable, Comparable, Sendable {
    public let nanoseconds: UInt64
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    public static func milliseconds(_ count: UInt64) -> Interval { Interval(nanoseconds: count * 1_000_000) }
    public static func seconds(_ count: UInt64) -> Interval { Interval(nanoseconds: count * 1_000_000_000) }

    public static func < (shorter: Interval, longer: Interval) -> Bool { shorter.nanoseconds < longer.nanoseconds }
}
