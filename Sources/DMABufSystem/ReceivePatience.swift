// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// How long a receiving call of one socket waits, as the kernel was told last (`SO_RCVTIMEO`).
///
/// It is told seldom: whatever is at least a quarter of what is left, and no more than that, is good enough; the rest is polled
/// for. So one who waits again and again for as long makes no call for it.
public struct ReceivePatience: Sendable {
    /// The kernel rounds up to its ticks: what is short is polled for.
    private static let shortest: UInt64 = 200_000_000
    /// No deadline is so far off that this would be told in vain.
    private static let longest: UInt64 = 1 << 40

    /// Nanoseconds; 0: it was not told.
    private var told: UInt64 = 0

    public init() {}

    /// Whether a receiving call may wait by itself. False if there is too little time, or the kernel takes no such word.
    mutating func allows(_ socket: borrowing Descriptor, until deadline: Deadline) -> Bool {
        let left = deadline.nanosecondsRemaining
        guard left >= Self.shortest else { return false }
        if told > 0, told <= left, told >= min(left, Self.longest) / 4 { return true }
        let next = min(left / 2, Self.longest)
        guard (try? setTimeout(socket.number, SO_RCVTIMEO, next)) != nil else { return false }
        told = next
        return true
    }
}
