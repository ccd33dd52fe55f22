// SPDX-License-Identifier: Apache-2.0

package import DMABufModel
import DMABufSystem

// The rules count in nanoseconds, and programs in durations.

extension Interval {
    /// Nothing for what is over, and no more than there is room for.
    package init(_ duration: Duration) { self.init(nanoseconds: duration.clampedNanoseconds) }
}

extension Duration {
    package init(_ interval: Interval) { self = .nanoseconds(Int64(clamping: interval.nanoseconds)) }
}
