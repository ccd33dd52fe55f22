// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage

/// A token's secret as the rules know it: a one-way hash, salted. So the time which a look-up takes tells nothing about any
/// secret, and neither does a journal; and the next registry recognises what this one has given out.
struct TokenHash: Sendable {
    let salt: Secret

    init() throws(Errno) {
        let bits = try SecureRandom.bits128()
        salt = Secret(high: bits.0, low: bits.1)
    }

    init(salt: Secret) { self.salt = salt }

    func hash(_ secret: TokenID) -> TokenID {
        let hash = SecretHash(of: Secret(high: secret.high, low: secret.low), salt: salt)
        return TokenID(high: hash.high, low: hash.low)
    }

    /// What is remembered of a client's secret.
    func hash(_ secret: Secret) -> SecretHash { SecretHash(of: secret, salt: salt) }
}
