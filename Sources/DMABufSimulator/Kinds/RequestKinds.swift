// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Request {
    static let kinds = [
        "register", "withdraw", "name", "share", "lookup", "makeToken", "withdrawToken", "inspect", "attach", "map",
        "detach", "pin", "unpin", "renew", "beginAccess", "endAccess", "beginMove", "acknowledge", "refuseMove",
        "commitMove", "abortMove", "revoke", "acknowledgeRevoke", "restore", "reserve", "addFence", "snapshot",
        "wait", "lock", "unlock", "attachNamed", "list", "renewFence",
    ]

    /// Its place in ``kinds``.
    var kind: Int {
        switch self {
        case .register: 0
        case .withdraw: 1
        case .name: 2
        case .share: 3
        case .lookup: 4
        case .makeToken: 5
        case .withdrawToken: 6
        case .inspect: 7
        case .attach: 8
        case .map: 9
        case .detach: 10
        case .pin: 11
        case .unpin: 12
        case .renew: 13
        case .beginAccess: 14
        case .endAccess: 15
        case .beginMove: 16
        case .acknowledge: 17
        case .refuseMove: 18
        case .commitMove: 19
        case .abortMove: 20
        case .revoke: 21
        case .acknowledgeRevoke: 22
        case .restore: 23
        case .reserve: 24
        case .addFence: 25
        case .snapshot: 26
        case .wait: 27
        case .lock: 28
        case .unlock: 29
        case .attachNamed: 30
        case .list: 31
        case .renewFence: 32
        }
    }
}
