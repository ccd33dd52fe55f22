// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Words {
    mutating func step(_ requests: inout UInt64) throws(ScenarioError) -> Step {
        if first?.first == "c", let next = first?.dropFirst().first, next.isNumber {
            let client = try client()
            requests += 1
            if let word = first, word.first == "#" { requests = try number(after: "#") }
            return .request(client, RequestNumber(requests), try request())
        }
        switch try word() {
        case "connect": return .connect(try identity())
        case "impose": return .impose(try client(), try conditions())
        case "died": return .observe(.clientDied(try client()))
        case "count": return .observe(.count(try buffer(), try generation(), try count()))
        case "copied": return .observe(.copyDone(try buffer(), try generation(), try backing()))
        case "copyFailed": return .observe(.copyFailed(try buffer(), try generation()))
        case "ended": return .observe(.fenceEnded(try fence(), try fenceEnd()))
        case "delivered": return .observe(.delivered(try client(), notices: try small()))
        case "accesses": return .observe(.accesses(try attachment(), try small()))
        case "expire": return .expire
        case "restart": return .restart
        case "back": return .comeBack(try client(), try identity())
        case let other: throw fail("there is no step '\(other)'")
        }
    }

    private mutating func identity() throws(ScenarioError) -> Identity {
        try expect("uid")
        var identity = Identity(uid: try small(), pid: 0)
        while take("gid") { identity.gids.append(try small()) }
        if take("pid") { identity.pid = Int32(truncatingIfNeeded: try small()) }
        return identity
    }

    private mutating func conditions() throws(ScenarioError) -> Conditions {
        var conditions = Conditions()
        while take("ceiling") {
            let resource = try choice(Resource.self)
            let limit = try number()
            try expect("line")
            conditions.ceilings[resource] = Ceiling(limit: limit, line: try small())
        }
        if take("ladder") { conditions.ladder = Ladder(grace: try interval(), last: try choice(Ladder.Last.self)) }
        return conditions
    }

    private mutating func count() throws(ScenarioError) -> Count {
        switch try word() {
        case "baseline": .atBaseline
        case "raised": .raised(by: try small())
        case "untold": .untold
        case let other: throw fail("a count is baseline, raised or untold, not '\(other)'")
        }
    }

    private mutating func fenceEnd() throws(ScenarioError) -> FenceEnd {
        switch try word() {
        case "ok": .ok
        case "error": .error(Int32(truncatingIfNeeded: try small()))
        case let other: throw fail("a fence ends ok or with an error, not '\(other)'")
        }
    }

    private mutating func backing() throws(ScenarioError) -> Backing {
        try expect("bytes")
        var backing = Backing(inode: 0, byteCount: try number())
        try expect("inode")
        backing.inode = try number()
        if take("descriptors") { backing.descriptorCount = try small() }
        if take("untold") { backing.provesRelease = false }
        return backing
    }

    private mutating func request() throws(ScenarioError) -> Request {
        switch try word() {
        case "register": .register(try buffer(), try registration())
        case "withdraw": .withdraw(try buffer())
        case "name": .name(try buffer(), try name())
        case "share": .share(try buffer(), try share())
        case "lookup": .lookup(try name(), uid: take("uid") ? try small() : nil)
        case "makeToken": .makeToken(try token(), try buffer(), try tokenTerms())
        case "withdrawToken": .withdrawToken(try token())
        case "inspect": .inspect(try buffer(), token: try shownToken())
        case "list": .list(from: take("from") ? try small() : 0)
        case "attachNamed":
            .attachNamed(try name(), uid: take("uid") ? try small() : nil, try attachTerms())
        case "attach": .attach(try buffer(), try attachTerms())
        case "map": .map(try attachment())
        case "detach": .detach(try attachment())
        case "pin": .pin(try attachment())
        case "unpin": .unpin(try attachment())
        case "renew": .renew(try attachment(), lease: try interval())
        case "begin": .beginAccess(try attachment(), try generation(), try access())
        case "end": .endAccess(try attachment())
        case let verb: try laterRequest(verb)
        }
    }

    private mutating func laterRequest(_ verb: String) throws(ScenarioError) -> Request {
        switch verb {
        case "move": .beginMove(try buffer(), try generation(), try moveTerms())
        case "acknowledge": .acknowledge(try attachment(), try generation(), ending: try copyFence())
        case "refuseMove": .refuseMove(try attachment(), try generation())
        case "commit": .commitMove(try buffer(), try generation(), try backing(), fence: try copyFence())
        case "abort": .abortMove(try buffer(), try generation())
        case "revoke": .revoke(try buffer(), try revokeTerms())
        case "acknowledgeRevoke": .acknowledgeRevoke(try attachment())
        case "restore": .restore(try attachment())
        case "reserve": .reserve(try attachment(), slots: try small())
        case "fence": .addFence(try attachment(), try fenceTerms(), lock: take("lock") ? try lockNumber() : nil)
        case "renewFence": .renewFence(try attachment(), timeline: try small(), within: try within())
        case "snapshot": .snapshot(try attachment(), try choice(Usage.self))
        case "wait": .wait(try attachment(), try choice(Usage.self), within: try within())
        case "lock": try lock()
        case "unlock": .unlock(try lockNumber())
        default: throw fail("there is no request '\(verb)'")
        }
    }
}
