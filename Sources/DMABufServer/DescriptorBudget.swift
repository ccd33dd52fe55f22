// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage

/// Rule: *the table of open files is never full.* What may be open at most is settled at the start, in parts: memory a half,
/// connections (a socket and a pidfd each) and fences a quarter each, some for what comes and goes. Who would go over a part
/// is refused, and a uid has its fair share of each.
struct DescriptorBudget {
    /// For the daemon's own, for a message that has just come, and for duplicates that are about to be sent.
    private static let margin = 64

    var connections: FairShare
    var fences: FairShare

    /// Also tells the rules, which count memory and clients.
    init(openFiles: UInt64, limits: inout Limits) {
        let room = max(Int(clamping: openFiles) - Self.margin, 32)
        limits.descriptors = min(limits.descriptors, UInt64(room / 2))
        limits.clients = min(limits.clients, UInt32(clamping: room / 8))
        connections = FairShare(limit: Int(limits.clients))
        fences = FairShare(limit: room / 4)
    }
}
