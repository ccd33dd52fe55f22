// SPDX-License-Identifier: Apache-2.0

import DMABufConnection
public import DMABufModel
public import DMABufSystem
public import DMABufWire

extension RegistryConnection {
    /// The registry's figures, for its own user and root: counters that only grow, and what is there now.
    public mutating func statistics(until deadline: Deadline) throws(RegistryError) -> [Statistic] {
        let reply = try exchange(.stats, DescriptorList(), until: deadline)
        guard case .statistics(let figures) = reply.envelope.message else { throw unexpected(reply.envelope) }
        return figures
    }

    /// All buffers that this client may see. What is registered or ends meanwhile may be in it or not.
    public mutating func list(until deadline: Deadline) throws(RegistryError) -> [Listing] {
        var all: [Listing] = []
        var cursor: UInt32 = 0
        repeat {
            guard case .listed(let listings, let next) = try ask(.list(from: cursor), until: deadline) else {
                return all
            }
            all += listings
            cursor = next
        } while cursor != 0
        return all
    }
}
