// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
public import DMABufSystem

extension RegistryConnection {
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
