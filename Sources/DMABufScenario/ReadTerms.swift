// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Words {
    mutating func registration() throws(ScenarioError) -> Registration {
        try expect("bytes")
        var backing = Backing(inode: 0, byteCount: try number())
        try expect("inode")
        backing.inode = try number()
        if take("descriptors") { backing.descriptorCount = try small() }
        if take("untold") { backing.provesRelease = false }
        var registration = Registration(backing: backing)
        if take("kept") { registration.kept = try choice(Kept.self) }
        if take("name") { registration.name = try name() }
        return registration
    }

    mutating func rights() throws(ScenarioError) -> Rights {
        var rights: Rights = []
        for name in try word().split(separator: "+") where name != "none" {
            guard let right = Rights.named.first(where: { $0.name == name })?.right else {
                throw fail("there is no right '\(name)'")
            }
            rights.formUnion(right)
        }
        return rights
    }

    mutating func name() throws(ScenarioError) -> String {
        let word = try word()
        return word == "\"\"" ? "" : word
    }

    mutating func access() throws(ScenarioError) -> Access {
        switch try word() {
        case "read": .read
        case "write": .write
        case "read-write": .readWrite
        case "none": Access(rawValue: 0)
        case let other: throw fail("an access is read, write or read-write, not '\(other)'")
        }
    }

    mutating func share() throws(ScenarioError) -> Share {
        let audience: Share.Audience
        switch try word() {
        case "user": audience = .user(try small())
        case "group": audience = .group(try small())
        case "everyone": audience = .everyone
        case let other: throw fail("an audience is user, group or everyone, not '\(other)'")
        }
        return Share(audience, try rights())
    }

    mutating func shownToken() throws(ScenarioError) -> TokenID? { take("token") ? try token() : nil }

    mutating func within() throws(ScenarioError) -> Interval {
        try expect("within")
        return try interval()
    }

    mutating func tokenTerms() throws(ScenarioError) -> TokenTerms {
        var terms = TokenTerms(try rights())
        if take("uses") { terms.uses = try small() }
        if take("lasts") { terms.lasts = try interval() }
        if take("from") { terms.parent = try token() }
        return terms
    }

    mutating func attachTerms() throws(ScenarioError) -> AttachTerms {
        var terms = AttachTerms(try access())
        if first == "movable" || first == "revocable" || first == "pinned" {
            terms.mobility = try choice(Mobility.self)
        }
        if take("lease") { terms.lease = try interval() }
        terms.token = try shownToken()
        return terms
    }

    mutating func moveTerms() throws(ScenarioError) -> MoveTerms {
        var terms = MoveTerms(within: try within())
        if take("late") { terms.late = try choice(MoveTerms.Late.self) }
        if take("copier") { terms.copier = try choice(MoveTerms.Copier.self) }
        terms.token = try shownToken()
        if take("lock") { terms.lock = try lockNumber() }
        if take("to") { terms.placement = try word() }
        return terms
    }

    mutating func revokeTerms() throws(ScenarioError) -> RevokeTerms {
        let target = take("everyone") ? RevokeTerms.Target.everyone : .attachment(try attachment())
        var terms = RevokeTerms(target, within: try within())
        terms.isFinal = take("final")
        terms.cutsOff = take("cutsOff")
        terms.token = try shownToken()
        return terms
    }

    mutating func copyFence() throws(ScenarioError) -> FenceTerms? { take("fence") ? try fenceTerms() : nil }

    mutating func fenceTerms() throws(ScenarioError) -> FenceTerms {
        try expect("timeline")
        let timeline = try small()
        try expect("point")
        let point = try number()
        var terms = FenceTerms(timeline: timeline, point: point, usage: try choice(Usage.self))
        if first == "eventFD" || first == "pidFD" { terms.kind = try choice(FenceTerms.Kind.self) }
        if take("within") { terms.within = try interval() }
        return terms
    }

    mutating func lock() throws(ScenarioError) -> Request {
        var buffers: [BufferID] = []
        while first?.first == "b" { buffers.append(try buffer()) }
        let within = try within()
        try expect("lasting")
        return .lock(buffers, within: within, lasting: try interval())
    }
}

extension Rights {
    /// Each right by its name.
    static let named: [(name: String, right: Rights)] = [
        ("attachRead", .attachRead), ("attachWrite", .attachWrite), ("fence", .fence), ("pin", .pin), ("move", .move),
        ("revoke", .revoke), ("delegate", .delegate), ("inspect", .inspect), ("all", .all),
    ]
}
