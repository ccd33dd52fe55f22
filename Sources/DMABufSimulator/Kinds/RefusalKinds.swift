// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Refusal {
    static let kinds = [
        "stale", "overflowUID", "numberTaken", "noSuchBuffer", "noSuchAttachment", "noSuchToken", "forbidden",
        "tokenTooWide", "nameTaken", "bufferEnded", "quarantined", "revoked", "dead", "notInAccess", "malformed",
        "pinned", "moving", "notMoving", "notTheMover", "notOwed", "twoInQuarantine", "wrongSize", "sameMemory",
        "beingRevoked", "notReserved", "noSlots", "notLater", "tooLong", "timedOut", "locked", "holdsLock",
        "lockEnded", "lockTimedOut", "overQuota", "tooMany",
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
        case .tokenTooWide: 7
        case .nameTaken: 8
        case .bufferEnded: 9
        case .quarantined: 10
        case .revoked: 11
        case .dead: 12
        case .notInAccess: 13
        case .malformed: 14
        case .pinned: 15
        case .moving: 16
        case .notMoving: 17
        case .notTheMover: 18
        case .notOwed: 19
        case .twoInQuarantine: 20
        case .wrongSize: 21
        case .sameMemory: 22
        case .beingRevoked: 23
        case .notReserved: 24
        case .noSlots: 25
        case .notLater: 26
        case .tooLong: 27
        case .timedOut: 28
        case .locked: 29
        case .holdsLock: 30
        case .lockEnded: 31
        case .lockTimedOut: 32
        case .overQuota: 33
        case .tooMany: 34
        }
    }
}
