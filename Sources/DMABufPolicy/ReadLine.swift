// SPDX-License-Identifier: Apache-2.0

import DMABufModel

// The grammar, a line each; `#` begins a comment.
//
//     allow|deny WHO connect|register|lock
//     allow|deny WHO allocate [EXPORTER[,EXPORTER...]]
//     allow|deny WHO share [uid N|group N|everyone] [RIGHT[,RIGHT...]]
//     allow|deny WHO token [RIGHT[,RIGHT...]]
//     allow|deny WHO attach [read|write|read,write] [of WHOSE]
//     allow|deny WHO pin|move|revoke|fence|inspect [of WHOSE]
//     quota uid N|everyone|total RESOURCE AMOUNT|unlimited
//     lease WHO [of WHOSE] at most TIME
//     revoke WHO grace TIME keep|cut-off|kill
//
//     WHO is uid N, group N or everyone; WHOSE is own, others or uid N.

extension Words {
    /// nil for a line that says nothing.
    mutating func readLine() throws(PolicyError) -> Line? {
        if isAtEnd { return nil }
        let verbs: [(String, Verb)] = [
            ("allow", .grant(true)), ("deny", .grant(false)), ("quota", .quota), ("lease", .lease),
            ("revoke", .ladder),
        ]
        let line: Line =
            switch try choice("a beginning of a line", of: verbs) {
            case .grant(let isAllowed): .grant(try grant(isAllowed))
            case .quota: .quota(try quota())
            case .lease: .lease(try lease())
            case .ladder: .ladder(try ladder())
            }
        try checkEnd()
        return line
    }

    private enum Verb {
        case grant(Bool)
        case quota, lease, ladder
    }

    private var number: UInt32 { UInt32(clamping: line) }

    private mutating func grant(_ isAllowed: Bool) throws(PolicyError) -> Grant {
        let subject = try subject()
        let action = try choice("what somebody does", of: Action.allCases.map { ("\($0)", $0) })
        var grant = Grant(number: number, isAllowed: isAllowed, subject: subject, action: action)
        switch action {
        case .connect, .register, .lock: break
        case .allocate: if !isAtEnd { grant.exporters = try exporters() }
        case .share:
            grant.audience = try audience()
            if !isAtEnd { grant.rights = try rights(orAudience: grant.audience == nil) }
        case .token: if !isAtEnd { grant.rights = try rights() }
        case .attach:
            if !isAtEnd, first != "of" { grant.rights = try access() }
            grant.whose = try whose()
        case .pin, .move, .revoke, .fence, .inspect: grant.whose = try whose()
        }
        return grant
    }

    private mutating func quota() throws(PolicyError) -> Quota {
        if first == "group" {
            throw fail("a quota is counted for each uid: uid N, everyone or total", at: try word("whose it is"))
        }
        let scope: Quota.Scope =
            switch try choice("whose quota", of: [("uid", 0), ("everyone", 1), ("total", 2)]) {
            case 0: .user(try id("uid"))
            case 1: .everyone
            default: .total
            }
        let resource = try choice("a resource", of: Self.resources)
        return Quota(number: number, scope: scope, resource: resource, limit: try amount(of: resource))
    }

    private static let resources: [(String, Resource)] = [
        ("buffers", .buffers), ("bytes", .bytes), ("descriptors", .descriptors), ("pinned-bytes", .pinnedBytes),
        ("attachments", .attachments), ("quarantined-bytes", .quarantinedBytes),
    ]

    private mutating func lease() throws(PolicyError) -> Lease {
        let (subject, whose) = (try subject(), try whose())
        try expect("at")
        try expect("most")
        return Lease(number: number, subject: subject, whose: whose, atMost: try time(atMost: .seconds(86_400)))
    }

    private mutating func ladder() throws(PolicyError) -> LadderLine {
        let subject = try subject()
        try expect("grace")
        let grace = try time(atMost: .seconds(60))
        let lasts: [(String, Ladder.Last)] = [("keep", .told), ("cut-off", .cutOff), ("kill", .killed)]
        let last = try choice("a last step", of: lasts)
        return LadderLine(number: number, subject: subject, ladder: Ladder(grace: grace, last: last))
    }
}
