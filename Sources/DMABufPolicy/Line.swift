// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// A line of a policy.
enum Line: Hashable, Sendable {
    case grant(Grant)
    case quota(Quota)
    case lease(Lease)
    case ladder(LadderLine)
}

/// What a line allows or denies.
enum Action: UInt8, Hashable, CaseIterable, Sendable {
    case connect, register, allocate, share, token, attach, pin, move, revoke, fence, inspect, lock
}

/// `allow` or `deny`.
struct Grant: Hashable, Sendable {
    var number: UInt32
    var isAllowed: Bool
    var subject: Subject
    var action: Action
    /// Of `attach`, `pin`, `move`, `revoke`, `fence` and `inspect`.
    var whose = Whose.anyones
    /// Of `attach`, `share` and `token`: all that may be asked for, or any of what may not.
    var rights = Rights.all
    /// Of `share`; nil is any.
    var audience: Share.Audience?
    /// Of `allocate`; empty is any.
    var exporters: [ExporterName] = []

    func fits(_ asked: Asked) -> Bool {
        subject.covers(asked.identity) && whose.covers(asked) && fitsRights(asked) && fitsAudience(asked)
            && fitsExporter(asked)
    }

    /// To be allowed, all of what is asked for must be on the line; to be denied, any.
    private func fitsRights(_ asked: Asked) -> Bool {
        isAllowed ? rights.isSuperset(of: asked.rights) : !rights.isDisjoint(with: asked.rights)
    }

    /// Who shares with everyone shares with whoever is meant; who is in a group is nobody's knowledge here.
    private func fitsAudience(_ asked: Asked) -> Bool {
        guard let audience, let other = asked.audience, audience != other else { return true }
        return isAllowed ? audience == .everyone : other == .everyone
    }

    /// Where none is named, the best there is might be any: it is denied, and allowed as what the line names. So might a kind's
    /// first, where no more than the kind is named.
    private func fitsExporter(_ asked: Asked) -> Bool {
        guard !exporters.isEmpty, let name = asked.exporter else { return true }
        return exporters.contains { $0.covers(name) || !isAllowed && $0.isOfKind(name) }
    }
}

/// How much of a resource may be charged.
struct Quota: Hashable, Sendable {
    enum Scope: Hashable, Sendable {
        case user(UInt32)
        /// Every uid by itself.
        case everyone
        /// All uids together, shared fairly between them.
        case total

        func covers(_ uid: UInt32) -> Bool {
            switch self {
            case .user(let user): user == uid
            case .everyone: true
            case .total: false
            }
        }
    }

    var number: UInt32
    var scope: Scope
    var resource: Resource
    var limit: UInt64
}

/// The longest that an attachment lasts without being renewed.
struct Lease: Hashable, Sendable {
    var number: UInt32
    var subject: Subject
    var whose = Whose.anyones
    var atMost: Interval
}

/// What happens to holders that do not let go.
struct LadderLine: Hashable, Sendable {
    var number: UInt32
    var subject: Subject
    var ladder: Ladder
}

/// What is looked at when a line is to fit.
struct Asked {
    var identity: Identity
    /// nil where the asker may not know, or there is none.
    var owner: UInt32?
    var rights = Rights.all
    var audience: Share.Audience?
    var exporter: String?

    init(_ identity: Identity) { self.identity = identity }
}

enum Subject: Hashable, Sendable {
    case user(UInt32)
    case group(UInt32)
    case everyone

    func covers(_ identity: Identity) -> Bool {
        switch self {
        case .user(let uid): identity.uid == uid
        case .group(let gid): identity.gids.contains(gid)
        case .everyone: true
        }
    }
}

/// Whose buffers are meant. A buffer that the asker may not know of is nobody's.
enum Whose: Hashable, Sendable {
    case anyones
    case own
    case others
    case user(UInt32)

    func covers(_ asked: Asked) -> Bool {
        switch self {
        case .anyones: true
        case .own: asked.owner == asked.identity.uid
        case .others: asked.owner.map { $0 != asked.identity.uid } ?? false
        case .user(let uid): asked.owner == uid
        }
    }
}

/// `vgem`, `heap:system`; without what is behind the colon, all of that kind are meant.
struct ExporterName: Hashable, Sendable {
    var text: String

    static let kinds = ["vgem", "udmabuf", "heap", "dumb", "memfd", "v4l2", "gbm", "vulkan"]
    /// These are nothing without what is behind the colon.
    private static let incomplete: Set<String> = ["heap", "dumb", "v4l2", "gbm"]

    var isComplete: Bool { !Self.incomplete.contains(text) }

    /// Whether `kind` alone might stand for it.
    func isOfKind(_ kind: String) -> Bool { text.hasPrefix(kind + ":") }

    func covers(_ name: String) -> Bool { name == text || name.hasPrefix(text + ":") && !text.contains(":") }
}
