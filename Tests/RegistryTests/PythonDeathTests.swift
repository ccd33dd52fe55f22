// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

/// Ends of clients and of the registry, and what bounds everybody.
@Suite("Ends and bounds of clients in Python", .leavesNoDescriptor, .requires("python3"))
struct PythonDeathTests {
    @Test("an owner is killed: its buffers end, go on until the last lets go, or stay")
    func owners() throws {
        let story = try PythonStory()
        let (owner, holder) = (try story.client(), try story.client())
        var attachments: [Said.Value] = []
        var buffers: [Said.Value] = []
        for kept in ["client", "attachments", "withdrawn"] {
            buffers.append(try owner.ask("register --kept \(kept) --name \(kept) --content hello")["buffer"])
            attachments.append(try holder.ask("attachNamed \(kept)")["attachment"])
        }
        owner.kill()
        let ended = try holder.hear("attachmentEnded")
        #expect(ended["attachment"] == attachments[0] && ended["buffer"] == buffers[0])
        let gone = [try holder.hear("ownerGone"), try holder.hear("ownerGone")]
        #expect(gone.map { $0["attachment"] } == Array(attachments[1...]))
        #expect(try holder.ask("lookup client").rule == "noSuchBuffer")
        #expect(try holder.ask("detach \(attachments[0])").rule == "noSuchAttachment")
        for attachment in attachments[1...] {
            #expect(try holder.ask("map \(attachment)").name == "mapped")
            #expect(try holder.ask("peek 5")["bytes"] == "68656c6c6f")
            #expect(try holder.ask("detach \(attachment)").name == "done")
        }
        #expect(try holder.ask("lookup attachments").rule == "noSuchBuffer")
        let again = try holder.ask("attachNamed withdrawn")
        #expect(again["buffer"] == buffers[2])
        #expect(try holder.ask("withdraw \(buffers[2])").name == "done")
        #expect(try holder.hear("withdrawn")["attachment"] == again["attachment"])
        #expect(try holder.ask("lookup withdrawn").rule == "noSuchBuffer")
        #expect(try holder.ask("withdraw \(buffers[2])").rule == "bufferEnded")
        #expect(try holder.ask("map \(again["attachment"])").name == "mapped", "it may finish")
        try holder.ask("detach \(again["attachment"])")
        #expect(try holder.ask("inspect \(buffers[2])").rule == "noSuchBuffer")
        try story.end()
    }

    @Test("there is an end to everything that one may ask for")
    func bounds() throws {
        let story = try PythonStory()
        let (owner, other) = (try story.client(), try story.client())
        let tooMuch = try owner.ask("register --memfd 900000000000")
        #expect(tooMuch.rule == "overQuota" && tooMuch["resource"] == "bytes" && tooMuch["share"] == 0)
        #expect(tooMuch["uids"] == 1 && tooMuch["largest"] == .number(UInt64(OwnProcess.userID)))
        let big = try owner.ask("register --memfd 60000000000")["buffer"]
        #expect(try owner.ask("attach \(big) --mobility pinned")["resource"] == "pinnedBytes")
        let buffer = try owner.ask("register")["buffer"]
        let own = try owner.ask("attach \(buffer)")["attachment"]
        try owner.ask("reserve \(own)")
        try owner.ask("addFence \(own) --within 5s")
        for _ in 0..<64 { try owner.tell("wait \(own) --within 5s &") }
        let wait = try owner.ask("wait \(own) --within 5s")
        #expect(wait.rule == "tooMany" && wait["what"] == "waits" && wait["limit"] == 64)
        try owner.tell("signal")
        for _ in 0..<64 { #expect(try owner.answer(to: "wait")["status"]["status"] == "ok") }
        #expect(try other.ask("lock \(Array(repeating: "\(buffer)", count: 65).joined(separator: " "))")["limit"] == 64)
        try story.end()
    }

    @Test("a client that does not read its notices is cut off, alone")
    func slowReader() throws {
        let story = try PythonStory()
        let (owner, slow, other) = (try story.client(), try story.client(), try story.client())
        let buffer = try owner.ask("register")["buffer"]
        for _ in 0..<100 { try slow.ask("attach \(buffer)") }
        let own = try other.ask("attach \(buffer)")["attachment"]
        try slow.send(.stop)
        // Two notices for each attachment and move.
        for _ in 0..<40 {
            try owner.ask("beginMove \(buffer) 1")
            try owner.hear("readyToCopy")
            try owner.ask("abortMove \(buffer) 1")
            try owner.hear("moveEnded")
            try other.hear("moving")
            try other.hear("moveAborted")
        }
        #expect(try owner.ask("inspect \(buffer)")["holders"].count == 1)
        try slow.send(.resume)
        #expect(try slow.parting().contains("slowReader"))
        #expect(try other.ask("beginAccess \(own) 1").name == "done")
        try story.end()
    }

    @Test("a registry that stops says so to everyone, and one that never knew a client takes it for a new one")
    func leaving() throws {
        let story = try PythonStory()
        let clients = [try story.client(), try story.client()]
        let joined = try clients.map { try $0.answer(to: "joined") }
        #expect(joined[0]["run"] == joined[1]["run"] && joined[0]["client"] != joined[1]["client"])
        #expect(joined[0]["secret"] != joined[1]["secret"])
        #expect(try story.stop()?.status == 0)
        for client in clients { #expect(try client.parting().contains("leaving")) }
    }
}
