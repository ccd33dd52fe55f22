// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// The lines so far: one that an earlier line leaves nothing to is a mistake, and is said to be one. Whether several
/// lines together leave nothing is not looked at.
struct ReachedLines {
    private var lines: [Key: [Line]] = [:]

    /// Lines of different keys never decide the same.
    fileprivate struct Key: Hashable {
        var kind: Kind
        var subject: Subject?
    }

    fileprivate enum Kind: Hashable {
        case grant(Action)
        case quota(Resource)
        case lease
        case ladder
    }

    mutating func add(_ line: Line, at words: Words) throws(PolicyError) {
        let key = line.key
        // Who is not meant by the same word is meant by everyone's alone.
        let everyone = key.subject.map { $0 == .everyone ? [] : lines[Key(kind: key.kind, subject: .everyone)] ?? [] }
        if let earlier = ((everyone ?? []) + (lines[key] ?? [])).first(where: { $0.covers(line) }) {
            throw words.fail(
                "this line is never reached: line \(earlier.number) decides before it", at: words.beginning)
        }
        lines[key, default: []].append(line)
    }
}

extension Line {
    fileprivate var key: ReachedLines.Key {
        switch self {
        case .grant(let grant): .init(kind: .grant(grant.action), subject: grant.subject)
        case .quota(let quota): .init(kind: .quota(quota.resource), subject: quota.scope.subject)
        case .lease(let lease): .init(kind: .lease, subject: lease.subject)
        case .ladder(let ladder): .init(kind: .ladder, subject: ladder.subject)
        }
    }

    fileprivate var number: UInt32 {
        switch self {
        case .grant(let grant): grant.number
        case .quota(let quota): quota.number
        case .lease(let lease): lease.number
        case .ladder(let ladder): ladder.number
        }
    }

    /// Whether all that fits `later`, and is of the subject of both, fits this.
    fileprivate func covers(_ later: Line) -> Bool {
        switch (self, later) {
        case (.grant(let first), .grant(let later)): first.covers(later)
        case (.lease(let first), .lease(let later)): first.whose.covers(later.whose)
        // Of the same kind, and about the same.
        default: true
        }
    }
}

extension Grant {
    fileprivate func covers(_ later: Grant) -> Bool {
        guard whose.covers(later.whose) else { return false }
        // What fits a line that denies need only touch it, so only the whole leaves nothing of it.
        let coversRights = isAllowed && !later.isAllowed ? isWhole(rights) : rights.isSuperset(of: later.rights)
        let isAlike = isAllowed == later.isAllowed
        let coversAudience = audience == nil || isAlike && audience == later.audience
        let coversExporters =
            exporters.isEmpty
            || isAlike && !later.exporters.isEmpty
                && Set(exporters).isSuperset(of: later.exporters)
        return coversRights && coversAudience && coversExporters
    }

    private func isWhole(_ rights: Rights) -> Bool {
        rights.isSuperset(of: action == .attach ? [.attachRead, .attachWrite] : .all)
    }
}

extension Quota.Scope {
    /// nil for all together.
    fileprivate var subject: Subject? {
        switch self {
        case .user(let uid): .user(uid)
        case .everyone: .everyone
        case .total: nil
        }
    }
}

extension Whose {
    fileprivate func covers(_ other: Whose) -> Bool { self == .anyones || self == other }
}
