// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

/// What whoever has PROTOCOL.md alone can do with the real registry: `Tests/Clients/registry.py` was written from it.
@Suite("A client in Python", .leavesNoDescriptor, .requires("python3"))
struct PythonClientTests {
    @Test("gives names, lists, looks up, shows and withdraws")
    func names() throws {
        let story = try PythonStory()
        let (owner, other) = (try story.client(), try story.client())
        let made = try owner.ask("register --kept withdrawn --name cam --content hello")
        #expect(made.name == "registered" && made["generation"] == 1)
        let buffer = made["buffer"]
        #expect(try owner.ask("name \(buffer) 'cam 2'").name == "done")
        let found = try other.ask("lookup 'cam 2'")
        #expect(found["buffer"] == buffer && found["generation"] == 1)
        #expect(try other.ask("lookup cam --uid \(OwnProcess.userID)")["buffer"] == buffer)
        #expect(try other.ask("lookup dog").rule == "noSuchBuffer")
        #expect(try other.ask("register --name cam").rule == "nameTaken")
        try other.ask("name \(buffer) third")
        try other.ask("name \(buffer) fourth")
        let fifth = try other.ask("name \(buffer) fifth")
        #expect(fifth.rule == "tooMany" && fifth["what"] == "names" && fifth["limit"] == 4)

        let listed = try other.ask("list")
        #expect(listed["next"] == 0 && listed["entries"].count == 1)
        let entry = listed["entries"][0]
        #expect(entry["names"] == ["cam", "cam 2", "third", "fourth"])
        #expect(entry["kept"] == "withdrawn" && entry["attachments"] == 0 && entry["bytes"] == 4096)
        #expect(entry["owner"] == .number(UInt64(OwnProcess.userID)) && entry["state"] == [])
        let shown = try other.ask("inspect \(buffer)")
        #expect(shown["entry"] == entry && shown["bytes"] == 4096 && shown["descriptors"] == 1)
        #expect(shown["backing"] == "memfd" && shown["memories"] == [4096] && shown["flags"] == [])
        #expect(shown["holders"] == [] && shown["quarantined"] == [])

        // Whoever is of the owner's uid may withdraw it; nobody has it, so that is its end.
        #expect(try other.ask("withdraw \(buffer)").name == "done")
        for request in ["lookup cam", "attach \(buffer)", "inspect \(buffer)", "withdraw \(buffer)"] {
            #expect(try owner.ask(request).rule == "noSuchBuffer", "\(request)")
        }
        try story.end()
    }

    @Test("registers images on several memories; what is not sealed is refused, and the connection stands")
    func memories() throws {
        let story = try PythonStory()
        let owner = try story.client()
        #expect(try owner.ask("register --unsealed")["reason"] == "unsealed")
        let tooSmall = try owner.ask("register --image 64x64:XR24 --memfd 4096")
        #expect(tooSmall.name == "refused" && tooSmall["reason"] == "description")
        let image = try owner.ask("register --image 64x48:XR24 --memfd 12288 --memfd 4096 --name image")
        let attached = try owner.ask("attachNamed image --access read --mobility revocable")
        #expect(attached["buffer"] == image["buffer"] && attached["memories"] == [12288, 4096])
        #expect(attached["width"] == 64 && attached["height"] == 48 && attached["fourcc"] == "XR24")
        #expect(attached["planes"].count == 1 && attached["planes"][0]["stride"] == 256)
        #expect(try owner.ask("inspect \(image["buffer"])")["descriptors"] == 2)
        // A list has twelve buffers at most, and says where it goes on.
        for index in 0..<13 { try owner.ask("register --name b\(index)") }
        let first = try owner.ask("list")
        #expect(first["entries"].count == 12 && first["next"] != 0)
        let rest = try owner.ask("list --cursor \(first["next"])")
        #expect(rest["entries"].count == 2 && rest["next"] == 0)
        try story.end()
    }

    @Test("attaches, maps, brackets accesses, pins")
    func attachments() throws {
        let story = try PythonStory()
        let (owner, holder) = (try story.client(), try story.client())
        let buffer = try owner.ask("register --content hello --name cam")["buffer"]
        let attached = try holder.ask("attachNamed cam --access read")
        let own = attached["attachment"]
        #expect(attached["status"]["status"] == "ok" && attached["pending fences"] == 0)
        #expect(try holder.ask("peek 5")["bytes"] == "68656c6c6f")
        #expect(try holder.ask("beginAccess \(own) 2 --access read")["generation"] == 1)
        let forbidden = try holder.ask("beginAccess \(own) 1 --access both")
        #expect(forbidden.rule == "forbidden" && forbidden["rights"] == ["attachWrite"])
        #expect(try holder.ask("endAccess \(own)").rule == "notInAccess")
        #expect(try holder.ask("beginAccess \(own) 1 --access read").name == "done")
        #expect(try holder.ask("endAccess \(own)")["state"] == "ok")
        // An attachment is its client's alone.
        #expect(try owner.ask("map \(own)").rule == "noSuchAttachment")
        #expect(try holder.ask("map \(own)")["generation"] == 1)

        #expect(try holder.ask("pin \(own)").name == "done")
        #expect(try owner.ask("list")["entries"][0]["state"] == ["pinned"])
        let pinned = try owner.ask("beginMove \(buffer) 1")
        #expect(pinned.rule == "pinned" && pinned["holders"][0]["attachment"] == own)
        #expect(try holder.ask("unpin \(own)").name == "done")
        #expect(try owner.ask("list")["entries"][0]["state"] == [])
        let second = try holder.ask("attach \(buffer) --mobility pinned")["attachment"]
        #expect(try owner.ask("list")["entries"][0]["state"] == ["pinned"])
        #expect(try owner.ask("inspect \(buffer)")["holders"].count == 2)
        for attachment in [own, second] { #expect(try holder.ask("detach \(attachment)").name == "done") }
        #expect(try holder.ask("detach \(own)").rule == "noSuchAttachment")
        #expect(try owner.ask("list")["entries"][0]["state"] == [])
        try story.end()
    }

    @Test("an agreed end comes, however often it is put off; whoever lets go stays, whoever does not is cut off")
    func leases() throws {
        let story = try PythonStory()
        let (owner, good, bad) = (try story.client(), try story.client(), try story.client())
        let buffer = try owner.ask("register --name cam")["buffer"]
        let own = try good.ask("attach \(buffer) --lease 30s")["attachment"]
        #expect(try good.ask("renew \(own) 0").rule == "malformed")
        #expect(try good.ask("renew \(own) 50ms").name == "done")
        let revoke = try good.hear("revoke")
        #expect(revoke["attachment"] == own && revoke["flags"] == ["forGood"] && revoke["buffer"] == buffer)
        #expect(try good.ask("renew \(own) 1s").rule == "revoked")
        #expect(try good.ask("acknowledgeRevoke \(own)").name == "done")
        #expect(try good.ask("map \(own)").rule == "dead")
        #expect(try good.ask("acknowledgeRevoke \(own)").rule == "notOwed")
        let endless = try good.ask("attach \(buffer)")["attachment"]
        #expect(try good.ask("renew \(endless) 1s").rule == "malformed")

        let late = try bad.ask("attach \(buffer) --lease 50ms")["attachment"]
        #expect(try bad.hear("revoke")["attachment"] == late)
        #expect(try bad.hear("revoked")["state"] == "dead")
        #expect(try bad.parting().contains("ignoredLease"))
        #expect(try owner.ask("list")["entries"][0]["attachments"] == 2)
        try story.end()
    }

    @Test("a revocation says how far it got, and what was revoked can be restored")
    func revocation() throws {
        let story = try PythonStory()
        let (owner, good, bad) = (try story.client(), try story.client(), try story.client())
        let buffer = try owner.ask("register --name cam")["buffer"]
        let (one, two) = (try good.ask("attach \(buffer)")["attachment"], try bad.ask("attach \(buffer)")["attachment"])
        // Everyone's, and all let go.
        try owner.tell("revoke \(buffer) --within 5s &")
        let asked = try good.hear("revoke")
        #expect(asked["attachment"] == one && asked["flags"] == [])
        #expect(try bad.hear("revoke")["attachment"] == two)
        #expect(try owner.ask("revoke \(buffer) --attachment \(one)")["until"] == asked["until"])
        try good.ask("acknowledgeRevoke \(one)")
        try bad.ask("acknowledgeRevoke \(two)")
        #expect(try owner.answer(to: "revoke")["level"] == "cooperative")
        #expect(try good.ask("map \(one)").rule == "revoked")
        #expect(try owner.ask("restore \(one)").name == "done")
        #expect(try owner.ask("restore \(one)").rule == "notOwed")
        #expect(try good.hear("restored")["attachment"] == one)
        #expect(try good.ask("map \(one)").name == "mapped")
        try owner.ask("restore \(two)")
        try bad.hear("restored")
        try bad.ask("map \(two)")

        // One is silent, inside an access.
        try bad.ask("beginAccess \(two) 1")
        let level = try owner.ask("revoke \(buffer) --attachment \(two) --within 50ms")
        #expect(level["level"] == "unconfirmed" && level["holders"].count == 1)
        #expect(level["holders"][0]["attachment"] == two)
        try bad.hear("revoke")
        #expect(try bad.hear("revoked")["state"] == "revoked")
        #expect(try bad.ask("endAccess \(two)")["state"] == "revoked")
        // And now for good, whoever does not answer is parted with.
        try owner.ask("restore \(two)")
        try bad.hear("restored")
        try bad.ask("map \(two)")
        let last = try owner.ask("revoke \(buffer) --attachment \(two) --within 50ms --flags forGood+cutOff")
        #expect(last["level"] == "unconfirmed")
        #expect(try bad.hear("revoke")["flags"] == ["forGood"])
        #expect(try bad.hear("revoked")["state"] == "dead")
        #expect(try bad.parting().contains("ignoredRevoke"))
        #expect(try owner.ask("restore \(two)").rule == "noSuchAttachment")
        #expect(try owner.ask("revoke \(buffer) --within 11s").rule == "tooLong")
        try story.end()
    }

    @Test("where the kernel counts, a revocation is enforced", .requires("udmabuf"))
    func enforced() throws {
        let story = try PythonStory()
        let (owner, holder) = (try story.client(), try story.client())
        let buffer = try owner.ask("allocate --bytes 4096 --exporter udmabuf")["buffer"]
        let own = try holder.ask("attach \(buffer)")["attachment"]
        #expect(try owner.ask("inspect \(buffer)")["flags"] == ["countProves"])
        try owner.tell("revoke \(buffer) --within 10s &")
        try holder.hear("revoke")
        try holder.tell("drop")
        try holder.ask("acknowledgeRevoke \(own)")
        #expect(try owner.answer(to: "revoke")["level"] == "enforced")
        // Who says that it has let go, and has not, is no proof.
        try owner.ask("restore \(own)")
        try holder.hear("restored")
        try holder.ask("map \(own)")
        try owner.tell("revoke \(buffer) --within 10s &")
        try holder.hear("revoke")
        try holder.ask("acknowledgeRevoke \(own)")
        #expect(try owner.answer(to: "revoke")["level"] == "cooperative")
        try story.end()
    }
}
