// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Refusal {
    static let kinds = [
        "stale", "overflowUID", "numberTaken", "noSuchBuffer", "noSuchAttachment", "noSuchToken", "forbidden",
        "notTheOwner", "tokenTooWide", "nameTaken", "bufferEnded", "quarantined", "revoked", "dead", "notInAccess",
        "malformed", "pinned", "moving", "notMoving", "notTheMover", "notOwed", "twoInQuarantine", "wrongSize",
        "sameMemory", "beingRevoked", "notReserved", "noSlots", "notLater", "tooLong", "timedOut", "locked",
        "holdsLock", "lockEnded", "lockTimedOut", "overQuota", "tooMany", "deniedByPolicy", "overCeiling", "settling",
        "noSuchFence",
    ]

    /// Its place in ``kinds``.
    var kind: Int {
        switch self {
        case .stale: 0
        case .overflowUID: 1
        case .numberTaken: 2
        case .noSuchBuffer: 3
        case .noSuchAttachment: 4
        case .noSuchToken: 5
        case .forbidden: 6
        case .notTheOwner: 7
        case .tokenTooWide: 8
        case .nameTaken: 9
        case .bufferEnded: 10
        case .quarantined: 11
        case .revoked: 12
        case .dead: 13
        case .notInAccess: 14
        case .malformed: 15
        case .pinned: 16
        case .moving: 17
        case .notMoving: 18
        case .notTheMover: 19
        case .notOwed: 20
        case .twoInQuarantine: 21
        case .wrongSize: 22
        case .sameMemory: 23
        case .beingRevoked: 24
        case .notReserved: 25
        case .noSlots: 26
        case .notLater: 27
        case .tooLong: 28
        case .timedOut: 29
        case .locked: 30
        case .holdsLock: 31
        case .lockEnded: 32
        case .lockTimedOut: 33
        case .overQuota: 34
        case .tooMany: 35
        case .deniedByPolicy: 36
        case .overCeiling: 37
        case .settling: 38
        case .noSuchFence: 39
        }
    }
}
