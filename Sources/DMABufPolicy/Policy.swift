// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// What whoever runs a registry allows whom, beyond the registry's own rules: a file of lines, read into a value.
///
/// The policy is asked before the rules are, about every request; it says no, narrows what is asked, or passes it on as it
/// came. It gives nobody a right that the rules do not: an `allow` is an exception to a `deny` below it. The one default
/// that it can widen is who has buffers made.
///
/// **The first line that fits decides.** Where none fits, all is as it would be without a policy.
public struct Policy: Hashable, Sendable {
    /// By their action, each in the order of the file.
    private(set) var grants: [[Grant]] = Array(repeating: [], count: Action.allCases.count)
    private(set) var quotas: [Quota] = []
    private(set) var leases: [Lease] = []
    private(set) var ladders: [LadderLine] = []
    /// How many lines say something.
    public private(set) var lineCount = 0

    /// The policy that says nothing.
    public init() {}

    mutating func add(_ line: Line) {
        lineCount += 1
        switch line {
        case .grant(let grant): grants[Int(grant.action.rawValue)].append(grant)
        case .quota(let quota): quotas.append(quota)
        case .lease(let lease): leases.append(lease)
        case .ladder(let ladder): ladders.append(ladder)
        }
    }
}

// MARK: What is asked of it

extension Policy {
    /// Throws unless who that is may connect. Root and the registry's own user always may: else a line too many would shut
    /// out whoever could take it back.
    public func checkConnect(_ identity: Identity, ownUser: UInt32) throws(Refusal) {
        guard identity.uid != 0, identity.uid != ownUser else { return }
        try check(.connect, Asked(identity))
    }

    /// The request as it goes on to the rules. `owner` is the uid of the buffer that it is about, where the asker may know:
    /// see ``Registry/owner(concerning:from:)``.
    public func decide(_ request: Request, from identity: Identity, owner: UInt32?) throws(Refusal) -> Request {
        guard lineCount > 0 else { return request }
        var asked = Asked(identity)
        asked.owner = owner
        switch request {
        case .attach(let id, let terms): return .attach(id, try narrow(terms, asked))
        case .attachNamed(let name, let uid, let terms): return .attachNamed(name, uid: uid, try narrow(terms, asked))
        case .renew(let id, let lease): return .renew(id, lease: min(lease, longestLease(asked) ?? lease))
        case .register: try check(.register, asked)
        case .share(_, let share):
            (asked.rights, asked.audience) = (share.rights, share.audience)
            // Taking back is always allowed.
            if !share.rights.isEmpty { try check(.share, asked) }
        case .makeToken(_, _, let terms):
            asked.rights = terms.rights
            try check(.token, asked)
        case .pin: try check(.pin, asked)
        case .beginMove(let id, let generation, let terms):
            try check(.move, asked)
            return .beginMove(id, generation, try narrow(terms, identity))
        case .revoke, .restore: try check(.revoke, asked)
        case .reserve, .addFence, .renewFence: try check(.fence, asked)
        case .inspect: try check(.inspect, asked)
        case .lock: try check(.lock, asked)
        // What lets go, looks up or goes on with what was granted.
        default: break
        }
        return request
    }

    /// With which exporter a buffer is made for this client, where a line says so; nil where none does. An exporter that
    /// is not named is the first that the line names in full.
    public func placement(_ exporter: String?, for identity: Identity) throws(Refusal) -> Placement? {
        var asked = Asked(identity)
        asked.exporter = exporter
        guard let line = grants[Int(Action.allocate.rawValue)].first(where: { $0.fits(asked) }) else { return nil }
        guard line.isAllowed else { throw .deniedByPolicy(line: line.number) }
        if exporter != nil || line.exporters.isEmpty { return Placement(exporter: exporter) }
        guard let first = line.exporters.first(where: \.isComplete) else { throw .deniedByPolicy(line: line.number) }
        return Placement(exporter: first.text)
    }

    public struct Placement: Hashable, Sendable {
        /// nil: the best there is.
        public var exporter: String?

        public init(exporter: String?) { self.exporter = exporter }
    }

    /// What is laid upon a client when it joins, and again when the policy changes.
    public func conditions(for identity: Identity) -> Conditions {
        var conditions = Conditions()
        for quota in quotas where quota.scope.covers(identity.uid) {
            guard conditions.ceilings[quota.resource] == nil else { continue }
            conditions.ceilings[quota.resource] = Ceiling(limit: quota.limit, line: quota.number)
        }
        conditions.ladder = ladders.first { $0.subject.covers(identity) }?.ladder
        return conditions
    }

    /// The limits that all uids share, as the policy has them; never of more descriptors than the registry may open.
    public func limits(insteadOf own: Limits) -> Limits {
        var limits = own
        for quota in quotas.reversed() where quota.scope == .total { limits[quota.resource] = quota.limit }
        limits.descriptors = min(limits.descriptors, own.descriptors)
        return limits
    }
}

extension Policy {
    private func check(_ action: Action, _ asked: Asked) throws(Refusal) {
        guard let line = grants[Int(action.rawValue)].first(where: { $0.fits(asked) }), !line.isAllowed else { return }
        throw .deniedByPolicy(line: line.number)
    }

    private func narrow(_ terms: AttachTerms, _ asked: Asked) throws(Refusal) -> AttachTerms {
        var (asked, terms) = (asked, terms)
        asked.rights = Rights.needed(for: terms.access)
        try check(.attach, asked)
        asked.rights = .all
        if terms.mobility == .pinned { try check(.pin, asked) }
        if let longest = longestLease(asked) { terms.lease = min(terms.lease ?? longest, longest) }
        return terms
    }

    /// A copy that the registry makes is memory that it makes.
    private func narrow(_ terms: MoveTerms, _ identity: Identity) throws(Refusal) -> MoveTerms {
        guard terms.copier == .server, let placement = try placement(terms.placement, for: identity) else {
            return terms
        }
        var terms = terms
        terms.placement = placement.exporter
        return terms
    }

    private func longestLease(_ asked: Asked) -> Interval? {
        leases.first { $0.subject.covers(asked.identity) && $0.whose.covers(asked) }?.atMost
    }
}
