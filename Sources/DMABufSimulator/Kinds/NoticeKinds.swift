// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Notice {
    static let kinds = [
        "invalidate", "moving", "moved", "moveAborted", "readyToCopy", "moveEnded", "revoke", "revoked", "restored",
        "attachmentEnded", "ownerGone", "withdrawn", "quarantined", "released", "fenceExpired", "lockEnded",
    ]

    /// Its place in ``kinds``.
    var kind: Int {
        switch self {
        case .invalidate: 0
        case .moving: 1
        case .moved: 2
        case .moveAborted: 3
        case .readyToCopy: 4
        case .moveEnded: 5
        case .revoke: 6
        case .revoked: 7
        case .restored: 8
        case .attachmentEnded: 9
        case .ownerGone: 10
        case .withdrawn: 11
        case .quarantined: 12
        case .released: 13
        case .fenceExpired: 14
        case .lockEnded: 15
        }
    }
}
