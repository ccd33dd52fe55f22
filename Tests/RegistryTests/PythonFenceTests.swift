// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

/// What must be waited for, and who may go first.
@Suite("Fences and locks of clients in Python", .leavesNoDescriptor, .requires("python3"))
struct PythonFenceTests {
    @Test("fences are reserved, added, listed, replaced, waited for and signalled")
    func fences() throws {
        let story = try PythonStory()
        let (owner, other) = (try story.client(), try story.client())
        let buffer = try owner.ask("register")["buffer"]
        let own = try owner.ask("attach \(buffer)")["attachment"]
        let theirs = try other.ask("attach \(buffer)")["attachment"]
        #expect(try owner.ask("addFence \(own)").rule == "notReserved")
        #expect(try owner.ask("reserve \(own) --slots 65")["limit"] == 64)
        #expect(try owner.ask("reserve \(own) --slots 2").name == "done")
        #expect(try owner.ask("addFence \(own) --within 11s").rule == "tooLong")
        #expect(try owner.ask("addFence \(own) --kind sync_file")["reason"] == "wrongKind")
        let first = try owner.ask("addFence \(own) --usage write --within 5s --point 7")["fence"]
        #expect(try other.ask("snapshot \(theirs) --usage write")["fences"] == [first])
        #expect(try other.ask("snapshot \(theirs) --usage kernel")["fences"] == [])
        #expect(try other.ask("wait \(theirs) --within 50ms")["fences"] == [first])
        #expect(try other.ask("wait \(theirs) --within 11s").rule == "tooLong")
        let late = try other.ask("attach \(buffer) --access read")
        #expect(late["status"]["status"] == "pending" && late["pending fences"] == 1)
        try other.tell("wait \(theirs) --within 5s &")
        try owner.tell("signal")
        #expect(try other.answer(to: "wait")["status"]["status"] == "ok")

        // A later point of a timeline replaces the earlier; a pidfd is the end of a process.
        let process = try Running(["sleep", "60"])
        let second = "addFence \(own) --kind pidfd --pid \(process.processID) --usage read --timeline 2 --within 5s"
        let added = try owner.ask(second)["fence"]
        #expect(try owner.ask(second)["point"] == 1)
        let replaced = try owner.ask("\(second) --point 2")["fence"]
        #expect(replaced != added && replaced != .nothing)
        #expect(try other.ask("snapshot \(theirs) --usage bookkeep")["fences"] == .list([replaced]))
        #expect(try other.ask("wait \(theirs) --usage write")["status"]["status"] == "ok", "nothing to wait for")
        try other.tell("wait \(theirs) --usage read --within 5s &")
        try process.send(.kill)
        _ = try process.finish()
        #expect(try other.answer(to: "wait")["status"]["status"] == "ok")
        try story.end()
    }

    @Test("a promise that is not kept is an error, and one whose owner dies is known to be void")
    func broken() throws {
        let story = try PythonStory()
        let (owner, other, third) = (try story.client(), try story.client(), try story.client())
        let buffer = try owner.ask("register")["buffer"]
        let own = try owner.ask("attach \(buffer)")["attachment"]
        let theirs = try other.ask("attach \(buffer)")["attachment"]
        try owner.ask("reserve \(own) --slots 1")
        let fence = try owner.ask("addFence \(own) --within 50ms")["fence"]
        let waited = try other.ask("wait \(theirs) --within 5s")["status"]
        #expect(waited["status"] == "error" && waited["errno"] != 0)
        #expect(try owner.hear("fenceExpired")["fence"] == fence)
        #expect(try other.ask("snapshot \(theirs)")["status"] == waited)

        let last = try third.ask("attach \(buffer)")["attachment"]
        try third.ask("reserve \(last)")
        try third.ask("addFence \(last) --within 5s")
        try other.tell("wait \(theirs) --within 5s &")
        third.kill()
        #expect(try other.answer(to: "wait")["status"]["status"] == "ownerDead")
        try story.end()
    }

    @Test("what a dead client's device may still be writing is in quarantine until all have let go")
    func quarantine() throws {
        let story = try PythonStory()
        let (owner, holder, dying) = (try story.client(), try story.client(), try story.client())
        let buffer = try owner.ask("register")["buffer"]
        let own = try holder.ask("attach \(buffer)")["attachment"]
        let last = try dying.ask("attach \(buffer)")["attachment"]
        try dying.ask("reserve \(last)")
        // This process does not end, so nor does that fence.
        let fence = "addFence \(last) --kind pidfd --pid \(OwnProcess.processID) --within 1s"
        #expect(try dying.ask(fence).name == "fenceAdded")
        try owner.ask("beginMove \(buffer) 1")
        try holder.hear("moving")
        try dying.hear("moving")
        dying.kill()
        try holder.hear("moveAborted")
        #expect(try holder.hear("quarantined")["generation"] == 1)
        #expect(try owner.hear("moveEnded")["outcome"] == "quarantined")
        #expect(try owner.ask("list")["entries"][0]["state"] == ["quarantined"])
        for request in ["map \(own)", "beginAccess \(own) 1", "attach \(buffer)", "beginMove \(buffer) 1"] {
            let refusal = try holder.ask(request)
            #expect(refusal.rule == "quarantined" && refusal["holders"].count == 1, "\(request)")
        }
        #expect(try holder.ask("lock \(buffer)").rule == "quarantined")
        try holder.ask("detach \(own)")
        #expect(try holder.ask("attach \(buffer)").name == "attached")
        try story.end()
    }

    @Test("two that lock the same buffers in other orders both get them, one after the other, however often")
    func locks() throws {
        let story = try PythonStory()
        let (one, two) = (try story.client(), try story.client())
        let (a, b) = (try one.ask("register")["buffer"], try one.ask("register")["buffer"])
        let own = try one.ask("attach \(a)")["attachment"]
        let theirs = try two.ask("attach \(a)")["attachment"]
        try one.ask("reserve \(own)")
        try two.ask("reserve \(theirs)")

        let first = try one.ask("lock \(a) \(b) --within 5s --lasting 5s")["lock"]
        try two.tell("lock \(b) \(a) --within 5s --lasting 5s &")
        #expect(try one.ask("lock \(a)")["lock"] == first)
        #expect(try two.ask("addFence \(theirs)")["lock"] == first)
        #expect(try one.ask("addFence \(own)")["lock"] == first, "its own must be named, too")
        #expect(try one.ask("addFence \(own) --lock \(first) --within 5s").name == "fenceAdded")
        try one.tell("signal")
        #expect(try two.ask("beginMove \(a) 1").rule == "locked")
        #expect(try two.ask("beginMove \(a) 1 --lock \(first)").rule == "lockEnded")
        #expect(try one.ask("unlock \(first)").name == "done")
        let second = try two.answer(to: "lock")["lock"]
        #expect(second != first)
        #expect(try one.ask("list")["entries"][1]["state"] == ["locked"])
        #expect(try one.ask("unlock \(second)").rule == "lockEnded")
        #expect(try two.ask("beginMove \(a) 1 --lock \(second)").name == "moveBegun")
        for client in [one, two] { try client.hear("moving") }
        try two.hear("readyToCopy")
        try two.ask("abortMove \(a) 1")
        for client in [one, two] { try client.hear("moveAborted") }
        try two.hear("moveEnded")
        #expect(try two.ask("unlock \(second)").name == "done")

        // Each unlocks as soon as it has its answer, and asks again.
        for _ in 0..<25 {
            for (client, buffers) in [(one, "\(a) \(b)"), (two, "\(b) \(a)")] {
                try client.tell("lock \(buffers) --within 5s --lasting 5s")
                try client.tell("unlock @lock")
            }
        }
        for client in [one, two] {
            for _ in 0..<25 {
                #expect(try client.answer(to: "lock").name == "locked")
                #expect(try client.answer(to: "unlock").name == "done")
            }
        }
        try story.end()
    }

    @Test("a lock ends at its deadline, with its client and with its buffers; whoever waits is told why, or goes on")
    func lockEnds() throws {
        let story = try PythonStory()
        let (one, two, three) = (try story.client(), try story.client(), try story.client())
        let (a, b) = (try one.ask("register")["buffer"], try one.ask("register")["buffer"])
        #expect(try one.ask("lock \(a) --lasting 11s").rule == "tooLong")
        #expect(try one.ask("lock \(a) \(a)").rule == "malformed")
        // Its start is not what the time is for.
        try two.ask("list")
        let first = try one.ask("lock \(a) --lasting 3s")["lock"]
        #expect(try two.ask("lock \(b) \(a) --within 50ms")["lock"] == first)
        #expect(try one.hear("lockEnded")["lock"] == first)
        #expect(try one.ask("unlock \(first)").rule == "lockEnded")
        // What stands in the way may be a move.
        try one.ask("beginMove \(a) 1")
        try one.hear("readyToCopy")
        let moving = try two.ask("lock \(a) --within 50ms")
        #expect(moving.rule == "lockTimedOut" && moving["lock"] == 0)
        try one.ask("abortMove \(a) 1")
        try one.hear("moveEnded")

        try three.ask("lock \(a) \(b) --lasting 5s")
        try two.tell("lock \(a) --within 5s --lasting 5s &")
        three.kill()
        let last = try two.answer(to: "lock")
        #expect(last.name == "locked")
        try one.tell("lock \(a) \(b) --within 5s &")
        try one.ask("list")
        #expect(try two.ask("withdraw \(a)").name == "done")
        #expect(try one.answer(to: "lock").rule == "bufferEnded")
        #expect(try two.hear("lockEnded")["lock"] == last["lock"])
        try story.end()
    }
}
