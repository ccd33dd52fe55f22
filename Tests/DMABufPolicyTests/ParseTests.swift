// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufPolicy
import TestSupport
import Testing

@Suite("Policy: reading")
struct ParseTests {
    @Test("every form of the grammar is read")
    func forms() throws {
        let text = """
            # who
            allow uid 1000 connect
            deny group 44 connect   # says why
            deny everyone connect

            \tallow everyone register\r
            deny uid 1001 lock
            allow group 44 allocate
            allow uid 1002 allocate udmabuf,heap:system
            allow uid 1000 share
            allow uid 1001 share everyone
            allow uid 1002 share group 44 read,fence
            allow uid 1003 share read
            deny everyone token delegate
            allow everyone attach read
            deny uid 1001 attach read,write of others
            deny uid 1001 attach of uid 1000
            deny uid 1001 pin
            deny uid 1001 move of others
            deny uid 1001 revoke of own
            deny uid 1001 fence
            deny uid 1001 inspect
            quota uid 1000 bytes 4GiB
            quota everyone bytes 64K
            quota uid 1000 buffers unlimited
            quota total descriptors 4096
            quota everyone pinned-bytes 0
            quota everyone quarantined-bytes 1TiB
            quota everyone attachments 100
            lease uid 1001 at most 30s
            lease everyone of others at most 1h
            revoke uid 1001 grace 500ms kill
            revoke group 44 grace 1min cut-off
            revoke everyone grace 2s keep
            """
        #expect(try Policy(text).lineCount == 32)
        #expect(try Policy("").lineCount == 0)
        #expect(try Policy("# nothing\n\n   \n") == Policy())
    }

    struct Mistake: Sendable, CustomTestStringConvertible {
        var text: String
        var column: Int
        var sentence: String
        var testDescription: String { text }

        init(_ text: String, _ column: Int, _ sentence: String) {
            (self.text, self.column, self.sentence) = (text, column, sentence)
        }
    }

    @Test(
        "a mistake is named with its place, and the nearest word that is known",
        arguments: [
            Mistake("alow uid 1 pin", 1, "'alow' is not a beginning of a line: did you mean 'allow'?"),
            Mistake("xyz", 1, "'xyz' is not a beginning of a line: allow, deny, quota, lease, revoke"),
            Mistake("allow", 6, "here should follow who somebody is: uid, group, everyone"),
            Mistake("allow  user 1", 8, "'user' is not who somebody is: uid, group, everyone"),
            Mistake("allow grop 1", 7, "'grop' is not who somebody is: did you mean 'group'?"),
            Mistake("allow uid bob pin", 11, "'bob' is not a uid: a number from 0 to 4294967294"),
            Mistake("allow uid 4294967295 pin", 11, "'4294967295' is not a uid: a number from 0 to 4294967294"),
            Mistake("allow group -1 pin", 13, "'-1' is not a gid: a number from 0 to 4294967294"),
            Mistake("deny everyone pni", 15, "'pni' is not what somebody does: did you mean 'pin'?"),
            Mistake("deny everyone pin always", 19, "'always' is one word too many"),
            Mistake("deny everyone pin of", 21, "here should follow whose buffers: own, others, uid"),
            Mistake("deny everyone pin of other", 22, "'other' is not whose buffers: did you mean 'others'?"),
            Mistake("allow everyone share reed", 22, "'reed' is not a right: did you mean 'read'?"),
            Mistake("allow everyone share everone", 22, "'everone' is not a right: did you mean 'everyone'?"),
            Mistake("allow everyone share read,,pin", 27, "beside a comma is missing a right"),
            Mistake("allow everyone share uid 1 read,wrote", 33, "'wrote' is not a right: did you mean 'write'?"),
            Mistake("allow everyone attach pin", 23, "'pin' is not an access: read, write, of"),
            Mistake("allow everyone allocate vegm", 25, "'vegm' is not an exporter: did you mean 'vgem'?"),
            Mistake("allow everyone allocate heap:", 25, "'heap:' is not an exporter: heap:system, dumb:card0"),
            Mistake("quota group 44 bytes 1", 7, "a quota is counted for each uid: uid N, everyone or total"),
            Mistake("quota uid 1 byte 1", 13, "'byte' is not a resource: did you mean 'bytes'?"),
            Mistake(
                "quota uid 1 bytes 4GB", 19,
                "'4GB' is not an amount: 4096, 64KiB, 8MiB, 4GiB, 1TiB or unlimited"),
            Mistake("quota uid 1 buffers 4K", 21, "'4K' is not a count or unlimited"),
            Mistake("quota uid 1 bytes 99999999999T", 19, "'99999999999T' is too large"),
            Mistake("lease everyone at least 3s", 19, "'most' should stand here, not 'least'"),
            Mistake("lease everyone at most 3", 24, "'3' is not a time: 500ms, 30s, 5min, 1h"),
            Mistake("lease everyone at most 0s", 24, "'0s' is not between 1ms and 86400s"),
            Mistake("revoke everyone grace 61s kill", 23, "'61s' is not between 1ms and 60s"),
            Mistake("revoke everyone grace 1s cutoff", 26, "'cutoff' is not a last step: did you mean 'cut-off'?"),
            Mistake("allow everyone p\u{fc}n", 17, "the byte 0xc3 can stand in a comment only"),
            Mistake("\u{0}", 1, "the byte 0x0 can stand in a comment only"),
        ])
    func mistakes(mistake: Mistake) {
        let errors = #expect(throws: PolicyErrors.self) { _ = try Policy("# first\n" + mistake.text) }
        #expect(errors?.all == [PolicyError(line: 2, column: mistake.column, mistake.sentence)])
    }

    @Test("all that is wrong is said, a line each, in the order of the file")
    func allErrors() {
        let errors = #expect(throws: PolicyErrors.self) {
            _ = try Policy("bad\nallow everyone pin\nquota\n\ndeny everyone fly\n")
        }
        #expect(errors?.all.map(\.line) == [1, 3, 5])
    }

    @Test(
        "a line that an earlier one leaves nothing to is a mistake",
        arguments: [
            ("deny everyone pin", "allow uid 1 pin"), ("allow uid 1 pin", "deny uid 1 pin of others"),
            ("quota everyone bytes 1", "quota uid 1 bytes 2"), ("quota total bytes 1", "quota total bytes 2"),
            ("lease everyone at most 1s", "lease uid 1 of own at most 2s"),
            ("revoke uid 1 grace 1s kill", "revoke uid 1 grace 1s keep"),
            ("deny everyone share read", "allow uid 1 share group 44 read"),
            ("allow everyone allocate vgem,udmabuf", "allow everyone allocate vgem"),
            ("deny everyone attach", "allow uid 1 attach read of own"),
        ])
    func unreached(first: String, second: String) throws {
        let errors = #expect(throws: PolicyErrors.self) { _ = try Policy(first + "\n" + second) }
        #expect(
            errors?.all == [PolicyError(line: 2, column: 1, "this line is never reached: line 1 decides before it")])
        // The other way round, both are reached: the narrow before the wide.
        if first != second, !first.hasPrefix("quota total"), !first.hasPrefix("revoke") {
            #expect(try Policy(second + "\n" + first).lineCount == 2)
        }
    }

    @Test(
        "what only overlaps is no mistake",
        arguments: [
            ("allow everyone share read", "deny everyone share read"),
            ("allow everyone share group 44", "deny everyone share group 44"),
            ("deny everyone share everyone", "allow everyone share group 44"),
            ("allow everyone allocate vgem", "deny everyone allocate"),
            ("quota total bytes 5", "quota everyone bytes 5"), ("deny uid 1 pin", "allow group 1 pin"),
        ])
    func overlapping(first: String, second: String) throws {
        #expect(try Policy(first + "\n" + second).lineCount == 2)
    }

    @Test("what is too large is refused before it is read")
    func bounds() {
        func errors(_ bytes: [UInt8]) -> [PolicyError] {
            (#expect(throws: PolicyErrors.self) { _ = try Policy(bytes) })?.all ?? []
        }
        #expect(errors(Array(repeating: 0x23, count: Policy.longestFile + 1)).count == 1)
        let many = errors(Array(repeating: 0x0a, count: Policy.mostLines + 100))
        #expect(many == [PolicyError(line: 4097, column: 1, "there are more than 4096 lines")])
        #expect(errors(Array(repeating: 0x23, count: Policy.longestLine + 1)).map(\.column) == [1025])
        #expect(throws: Never.self) { _ = try Policy(Array(repeating: 0x23, count: Policy.longestLine)) }
    }

    @Test("no bytes trap, and every error has its place and clean words")
    func anyBytes() {
        var random = SplitMix64(seed: 7)
        let words = [
            "allow", "deny", "quota", "lease", "revoke", "uid", "group", "everyone", "total", "share", "attach", "of",
            "own", "read,write", "at", "most", "30s", "grace", "kill", "bytes", "4GiB", "18446744073709551615T", "0",
            "4294967295", "heap:", ",", "#", "\n", "\r\n", "\t", "\u{fc}", "allocate", "vgem,heap:x", "unlimited",
        ]
        for round in 0..<3000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0...40, using: &random) {
                if round % 3 == 0 {
                    bytes.append(UInt8.random(in: 0...255, using: &random))
                } else {
                    bytes += Array(words.randomElement(using: &random)!.utf8)
                    if Bool.random(using: &random) || round % 3 == 1 { bytes.append(0x20) }
                }
            }
            do throws(PolicyErrors) { _ = try Policy(bytes) } catch {
                let lines = bytes.split(separator: 0x0a, omittingEmptySubsequences: false)
                for error in error.all {
                    #expect(lines.indices.contains(error.line - 1))
                    #expect(error.column >= 1 && error.column <= lines[error.line - 1].count + 1, "\(error)")
                    #expect(error.sentence.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "\(error)")
                }
                #expect(error.all.map(\.line) == error.all.map(\.line).sorted() && !error.all.isEmpty)
            }
        }
    }

    @Test("the example is a policy")
    func example() throws {
        let bytes = try PolicyFile.bytes("docs/example.policy")
        #expect(throws: Never.self) { _ = try Policy(bytes) }
        #expect(try Policy(bytes).lineCount > 10)
    }
}

extension Policy {
    init(_ text: String) throws(PolicyErrors) { try self.init(Array(text.utf8)) }
}
