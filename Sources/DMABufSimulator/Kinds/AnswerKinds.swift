// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Answer {
    static let kinds = [
        "done", "refused", "registered", "found", "attached", "mapped", "accessEnded", "moveBegun", "revoked",
        "fenceAdded", "snapshot", "waited", "locked", "tokenWithdrawn", "inspected", "listed",
    ]

    /// Its place in ``kinds``.
    var kind: Int {
        switch self {
        case .done: 0
        case .refused: 1
        case .registered: 2
        case .found: 3
        case .attached: 4
        case .mapped: 5
        case .accessEnded: 6
        case .moveBegun: 7
        case .revoked: 8
        case .fenceAdded: 9
        case .snapshot: 10
        case .waited: 11
        case .locked: 12
        case .tokenWithdrawn: 13
        case .inspected: 14
        case .listed: 15
        }
    }
}
