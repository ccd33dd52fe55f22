// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Observation {
    static let kinds = [
        "clientDied", "count", "copyDone", "copyFailed", "fenceEnded", "delivered", "accesses",
    ]

    /// Its place in ``kinds``.
    var kind: Int {
        switch self {
        case .clientDied: 0
        case .count: 1
        case .copyDone: 2
        case .copyFailed: 3
        case .fenceEnded: 4
        case .delivered: 5
        case .accesses: 6
        }
    }
}
