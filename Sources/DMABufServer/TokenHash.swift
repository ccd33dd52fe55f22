// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage

/// A token's secret as the rules know it: hashed with a key of this run, so that the time which a look-up takes tells
/// nothing about any secret.
struct TokenHash: Sendable {
    private let key: (UInt64, UInt64)

    init() throws(Errno) { key = try SecureRandom.bits128() }

    func hash(_ secret: TokenID) -> TokenID {
        TokenID(high: half(secret, key.0), low: half(secret, key.1))
    }

    private func half(_ secret: TokenID, _ key: UInt64) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(key)
        hasher.combine(secret)
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }
}
