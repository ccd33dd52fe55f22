// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

/// What other users may do. Only root can become several.
@Suite("Clients in Python, of several users", .leavesNoDescriptor, .requires("python3", "root"))
struct PythonRightsTests {
    private let token = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    private let child = "70f1e2d3c4b5a69788796a5b4c3d2e1f"

    @Test("what is shared can be found and used, and nothing else")
    func shares() throws {
        let story = try PythonStory()
        let (owner, guest) = (try story.client(), try story.client(uid: 1001))
        let buffer = try owner.ask("register --name cam --content hello")["buffer"]
        // What one may not know of is not there.
        for request in ["attach \(buffer)", "lookup cam --uid 0", "inspect \(buffer)", "withdraw \(buffer)"] {
            #expect(try guest.ask(request).rule == "noSuchBuffer", "\(request)")
        }
        #expect(try guest.ask("list")["entries"].count == 0)
        #expect(try owner.ask("share \(buffer) everyone attachRead").name == "done")
        #expect(try guest.ask("lookup cam --uid 0")["buffer"] == buffer)
        #expect(try guest.ask("lookup cam").rule == "noSuchBuffer")
        #expect(try guest.ask("list")["entries"][0]["owner"] == 0)
        let wide = try guest.ask("attachNamed cam --uid 0")
        #expect(wide.rule == "forbidden" && wide["rights"] == ["attachWrite"])
        let own = try guest.ask("attachNamed cam --uid 0 --access read")["attachment"]
        #expect(try guest.ask("peek 5")["bytes"] == "68656c6c6f")
        #expect(try guest.ask("pin \(own)")["rights"] == ["pin"])
        #expect(try guest.ask("reserve \(own)")["rights"] == ["fence"])
        #expect(try guest.ask("inspect \(buffer)")["rights"] == ["inspect"])
        #expect(try guest.ask("beginMove \(buffer) 1")["rights"] == ["move"])
        #expect(try guest.ask("revoke \(buffer)")["rights"] == ["revoke"])
        for request in ["withdraw \(buffer)", "name \(buffer) mine", "share \(buffer) everyone attachRead"] {
            #expect(try guest.ask(request).rule == "notTheOwner", "\(request)")
        }
        #expect(try owner.ask("share \(buffer) --number 1001 gid inspect+fence").name == "done")
        let shown = try guest.ask("inspect \(buffer)")
        #expect(shown["holders"][0]["attachment"] == own)
        // No rights take a share back, for what comes.
        try owner.ask("share \(buffer) everyone ''")
        try owner.ask("share \(buffer) --number 1001 gid ''")
        #expect(try guest.ask("lookup cam --uid 0").rule == "noSuchBuffer")
        #expect(try guest.ask("map \(own)").name == "mapped")
        #expect(try guest.ask("allocate --bytes 4096")["reason"] == "unwanted")
        try story.end()
    }

    @Test("a token is passed on narrower, used up, and withdrawn with all that came from it")
    func tokens() throws {
        let story = try PythonStory()
        let (owner, guest) = (try story.client(), try story.client(uid: 1001))
        let third = try story.client(uid: 1002)
        let buffer = try owner.ask("register")["buffer"]
        #expect(try guest.ask("attach \(buffer) --token \(token)").rule == "noSuchBuffer")
        #expect(try owner.ask("makeToken \(token) \(buffer) ''").rule == "malformed")
        #expect(try owner.ask("makeToken \(token) \(buffer) attachRead+delegate --uses 3").name == "done")
        #expect(try owner.ask("makeToken \(token) \(buffer) attachRead").rule == "numberTaken")
        #expect(try guest.ask("attach \(buffer) --token \(token)")["rights"] == ["attachWrite"])
        let first = try guest.ask("attach \(buffer) --token \(token) --access read")["attachment"]

        let wide = try guest.ask("makeToken \(child) \(buffer) attachRead+fence --parent \(token)")
        #expect(wide.rule == "tokenTooWide" && wide["rights"] == ["fence"])
        #expect(try guest.ask("makeToken \(child) \(buffer) attachRead --parent \(token) --uses 1").name == "done")
        let second = try third.ask("attach \(buffer) --token \(child) --access read")["attachment"]
        // Its one use is over; the parent's have become fewer with it.
        #expect(try third.ask("attach \(buffer) --token \(child) --access read").rule == "noSuchBuffer")
        #expect(try guest.ask("attach \(buffer) --token \(token) --access read").name == "attached")
        #expect(try guest.ask("attach \(buffer) --token \(token) --access read").rule == "noSuchBuffer")
        #expect(try third.ask("withdrawToken \(token)").rule == "noSuchToken")

        let withdrawn = try owner.ask("withdrawToken \(token)")
        #expect(withdrawn["tokens"] == 2 && withdrawn["attachments"] == 3)
        #expect(try owner.ask("withdrawToken \(child)").rule == "noSuchToken")
        let asked = [try guest.hear("revoke"), try guest.hear("revoke")]
        #expect(Set(asked.map { "\($0["attachment"])" }).contains("\(first)"))
        for notice in asked {
            #expect(notice["flags"] == ["forGood"])
            try guest.ask("acknowledgeRevoke \(notice["attachment"])")
            #expect(try guest.ask("map \(notice["attachment"])").rule == "dead")
        }
        #expect(try third.hear("revoke")["attachment"] == second)
        #expect(try third.hear("revoked")["state"] == "dead")
        #expect(try third.parting().contains("ignoredRevoke"))
        try story.end()
    }

    @Test("a token's time ends, and with it what was attached by it")
    func tokenEnds() throws {
        let story = try PythonStory()
        let (owner, guest) = (try story.client(), try story.client(uid: 1001))
        let buffer = try owner.ask("register")["buffer"]
        // Its start is not what the time is for.
        try guest.ask("list")
        try owner.ask("makeToken \(token) \(buffer) attachRead+inspect+revoke --lasts 3s")
        #expect(try guest.ask("inspect \(buffer) --token \(token)")["bytes"] == 4096)
        let own = try guest.ask("attach \(buffer) --token \(token) --access read")["attachment"]
        #expect(try guest.hear("revoke")["attachment"] == own)
        try guest.ask("detach \(own)")
        #expect(try guest.ask("inspect \(buffer) --token \(token)").rule == "noSuchBuffer")
        try story.end()
    }
}
