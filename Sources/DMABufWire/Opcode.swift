// SPDX-License-Identifier: Apache-2.0

/// What a message is. Bit 15 marks an answer, bit 14 a notice of the registry's.
public enum Opcode: UInt16, CaseIterable, Sendable {
    // Every connection.
    case hello = 0x0001
    case farewell = 0x0002

    // Passing.
    case offer = 0x0010
    case accepted = 0x8010
    case refused = 0x8011

    // Requests to the registry.
    case join = 0x0100
    case register = 0x0110
    case withdraw = 0x0111
    case inspect = 0x0112
    case list = 0x0113
    case allocate = 0x0114
    case stats = 0x0115
    case name = 0x0120
    case share = 0x0121
    case lookup = 0x0122
    case makeToken = 0x0130
    case withdrawToken = 0x0131
    case attach = 0x0140
    case attachNamed = 0x0141
    case map = 0x0142
    case detach = 0x0143
    case pin = 0x0144
    case unpin = 0x0145
    case renew = 0x0146
    case beginAccess = 0x0147
    case endAccess = 0x0148
    case beginMove = 0x0150
    case acknowledge = 0x0151
    case refuseMove = 0x0152
    case commitMove = 0x0153
    case abortMove = 0x0154
    case revoke = 0x0160
    case acknowledgeRevoke = 0x0161
    case restore = 0x0162
    case reserve = 0x0170
    case addFence = 0x0171
    case snapshot = 0x0172
    case wait = 0x0173
    case lock = 0x0174
    case unlock = 0x0175
    case renewFence = 0x0176

    // To and from the registry's own worker.
    case order = 0x0200
    case made = 0x8200

    // The registry's answers.
    case joined = 0x8100
    case joinedWithPages = 0x8103
    case done = 0x8101
    case ruledOut = 0x8102
    case registered = 0x8110
    case inspected = 0x8112
    case listed = 0x8113
    case statistics = 0x8115
    case found = 0x8122
    case tokenWithdrawn = 0x8131
    case attached = 0x8140
    case mapped = 0x8142
    case attachedWithWord = 0x8149
    case mappedWithWord = 0x814a
    case accessEnded = 0x8148
    case moveBegun = 0x8150
    case revoked = 0x8160
    case fenceAdded = 0x8171
    case snapshotTaken = 0x8172
    case waited = 0x8173
    case locked = 0x8174

    // Its notices.
    case attachmentEnded = 0x4110
    case ownerGone = 0x4111
    case withdrawn = 0x4112
    case quarantined = 0x4113
    case released = 0x4114
    case invalidate = 0x4150
    case moving = 0x4151
    case moved = 0x4152
    case moveAborted = 0x4153
    case readyToCopy = 0x4154
    case moveEnded = 0x4155
    case revoking = 0x4160
    case revokedNow = 0x4161
    case restored = 0x4162
    case fenceExpired = 0x4170
    case lockEnded = 0x4171

    public var isAnswer: Bool { rawValue & 0x8000 != 0 }
    public var isNotice: Bool { rawValue & 0x4000 != 0 }
}

extension Message {
    public var opcode: Opcode {
        switch self {
        case .hello: .hello
        case .farewell: .farewell
        case .offer: .offer
        case .accepted: .accepted
        case .refused: .refused
        case .join: .join
        case .joined(let joined): joined.pages == nil ? .joined : .joinedWithPages
        case .register: .register
        case .commitMove: .commitMove
        case .allocate: .allocate
        case .stats: .stats
        case .statistics: .statistics
        case .order: .order
        case .made: .made
        case .request(let request): request.opcode
        case .granted(let grant): grant.opcode
        case .inspected: .inspected
        case .answer(let answer): answer.opcode
        case .notice(let notice): notice.opcode
        }
    }
}
