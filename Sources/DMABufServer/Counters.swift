// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufPolicy
import DMABufSystem
import DMABufWire

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
    /// What is wrong with the policy's file since it was last read: the policy before that holds.
    public var policyErrors: UInt64 = 0
}

extension RegistryServer {
    /// For its own user and root: the figures are about everyone.
    mutating func tellStatistics(_ id: ClientID, _ client: ClientConnection, _ serial: UInt64) {
        guard OwnProcess.trusts(client.identity.user) else {
            say(.answer(.refused(.forbidden(missing: .inspect))), serial, to: client)
            return
        }
        say(.statistics(statistics), serial, to: client)
    }

    private var statistics: [Statistic] {
        let ledger = registry.ledger
        return [
            Statistic("clients", UInt64(clients.count)), Statistic("buffers", ledger.buffers),
            Statistic("bytes", ledger.bytes), Statistic("descriptors", ledger.descriptors),
            Statistic("descriptor_limit", configuration.limits.descriptors),
            Statistic("attachments", ledger.attachments), Statistic("pinned_bytes", ledger.pinnedBytes),
            Statistic("quarantined_bytes", ledger.quarantinedBytes), Statistic("unread_notices", ledger.notices),
            Statistic("pending_fences", UInt64(fences.count)), Statistic("generations", UInt64(memories.count)),
            Statistic("connections", counters.connections), Statistic("requests", counters.requests),
            Statistic("refusals", counters.refusals), Statistic("notices", counters.notices),
            Statistic("protocol_errors", counters.protocolErrors), Statistic("cut_off", counters.cutOff),
            Statistic("deaths", counters.deaths), Statistic("failed_imports", counters.importsFailed),
            Statistic("surviving", vault?.isWhole == true ? 1 : 0),
            Statistic("absent_clients", UInt64(registry.absentCount)),
            Statistic("policy_lines", UInt64(policy.lineCount)), Statistic("policy_errors", counters.policyErrors),
            Statistic("counts_readable", counts.areReadable ? 1 : 0),
        ]
    }
}
