// SPDX-License-Identifier: Apache-2.0

/// What a daemon has done since it began.
public struct Counters: Sendable {
    public var connections: UInt64 = 0
    public var requests: UInt64 = 0
    public var refusals: UInt64 = 0
    public var notices: UInt64 = 0
    public var protocolErrors: UInt64 = 0
    public var cutOff: UInt64 = 0
    public var deaths: UInt64 = 0
    /// Fences that the kernel did not take into a reservation.
    public var importsFailed: UInt64 = 0
}
