// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension MoveAbort {
    static let kinds = [
        "late", "refused", "asked", "copyFailed", "copyLate", "bufferEnded", "quarantined", "tokenEnded",
    ]

    /// Its place in ``kinds``.
    var kind: Int {
        switch self {
        case .late: 0
        case .refused: 1
        case .asked: 2
        case .copyFailed: 3
        case .copyLate: 4
        case .bufferEnded: 5
        case .quarantined: 6
        case .tokenEnded: 7
        }
    }
}
