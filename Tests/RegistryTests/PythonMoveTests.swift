// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

/// Moves between processes that share nothing but PROTOCOL.md.
@Suite("Moves by clients in Python", .leavesNoDescriptor, .requires("python3"))
struct PythonMoveTests {
    /// A buffer of `mover`'s, which has attached it too, and `holder` is inside an access to it.
    private func share(
        by mover: PythonClient, to holder: PythonClient, _ options: String = "register --content hello"
    ) throws -> (buffer: Said.Value, holders: Said.Value) {
        let buffer = try mover.ask(options)["buffer"]
        try mover.ask("attach \(buffer)")
        let attachment = try holder.ask("attach \(buffer)")["attachment"]
        #expect(try holder.ask("beginAccess \(attachment) 1").name == "done")
        return (buffer, attachment)
    }

    @Test("holders let go, the mover copies and commits, everyone maps the new memory with the old content")
    func whole() throws {
        let story = try PythonStory()
        let (mover, holder, late) = (try story.client(), try story.client(), try story.client())
        let (buffer, own) = try share(by: mover, to: holder)
        let idle = try late.ask("attach \(buffer) --access read")["attachment"]
        let content = try holder.ask("peek 4096")["bytes"]

        let begun = try mover.ask("beginMove \(buffer) 1 --within 5s")
        #expect(begun.name == "moveBegun" && begun["generation"] == 2)
        let asked = try holder.hear("invalidate")
        #expect(asked["attachment"] == own && asked["generation"] == 1 && asked["until"] == begun["until"])
        #expect(try late.hear("moving")["attachment"] == idle)
        #expect(try mover.hear("moving")["generation"] == 1)
        #expect(try mover.ask("list")["entries"][0]["state"] == ["moving"])
        // Meanwhile nothing new begins, and whoever attaches waits.
        #expect(try late.ask("beginAccess \(idle) 1 --access read")["until"] == begun["until"])
        #expect(try late.ask("beginMove \(buffer) 1").rule == "moving")
        #expect(try late.ask("pin \(idle)").rule == "moving")
        #expect(try late.ask("acknowledge \(idle) 1").rule == "notOwed")
        try late.tell("attach \(buffer) --access read &")
        try late.tell("map \(idle) &")
        #expect(try mover.ask("commitMove \(buffer) 1 --copy").rule == "notMoving")

        #expect(try holder.ask("endAccess \(own)")["state"] == "ok")
        try holder.tell("drop")
        #expect(try holder.ask("acknowledge \(own) 1").name == "done")
        #expect(try holder.ask("acknowledge \(own) 1").rule == "notOwed")
        let ready = try mover.hear("readyToCopy")
        #expect(ready["buffer"] == buffer && ready["generation"] == 2 && ready["status"]["status"] == "ok")
        #expect(try late.ask("commitMove \(buffer) 1 --memfd 4096").rule == "notTheMover")
        #expect(try mover.ask("commitMove \(buffer) 1 --memfd 8192")["bytes"] == 4096)
        #expect(try mover.ask("commitMove \(buffer) 2 --copy")["generation"] == 1)
        #expect(try mover.ask("commitMove \(buffer) 1 --copy").name == "done")

        #expect(try mover.hear("moved")["generation"] == 2)
        let ended = try mover.hear("moveEnded")
        #expect(ended["outcome"] == "moved" && ended["generation"] == 2 && ended["holders"] == [])
        #expect(try holder.hear("moved")["generation"] == 2)
        #expect(try late.hear("moved")["attachment"] == idle)
        #expect(try late.answer(to: "attach")["generation"] == 2)
        #expect(try late.answer(to: "map")["generation"] == 2)
        #expect(try holder.ask("beginAccess \(own) 1")["generation"] == 2)
        #expect(try holder.ask("beginAccess \(own) 2")["generation"] == 2, "it has not mapped")
        #expect(try holder.ask("map \(own)")["generation"] == 2)
        #expect(try holder.ask("beginAccess \(own) 2").name == "done")
        #expect(try holder.ask("peek 4096")["bytes"] == content)
        #expect(try late.ask("peek 4096")["bytes"] == content)
        #expect(try mover.ask("inspect \(buffer)")["quarantined"] == [1])
        // The mover is the last that has the old memory.
        let attachment = try mover.ask("inspect \(buffer)")["holders"][0]["attachment"]
        #expect(try mover.ask("map \(attachment)")["generation"] == 2)
        let released = try mover.hear("released")
        #expect(released["generation"] == 1 && released["buffer"] == buffer && released["flags"] == [])
        #expect(try mover.ask("inspect \(buffer)")["quarantined"] == [])
        try story.end()
    }

    @Test("work that a holder or the mover has not finished is waited for")
    func fences() throws {
        let story = try PythonStory()
        let (mover, holder) = (try story.client(), try story.client())
        let (buffer, own) = try share(by: mover, to: holder)
        try mover.ask("beginMove \(buffer) 1 --within 5s")
        try mover.hear("moving")
        try holder.hear("invalidate")
        #expect(try holder.ask("acknowledge \(own) 1 --fence --within 5s").name == "done")
        #expect(try mover.ask("inspect \(buffer)")["pending fences"] == 1)
        try mover.expectNothingMore()
        try holder.tell("signal")
        try mover.hear("readyToCopy")
        #expect(try mover.ask("commitMove \(buffer) 1 --copy --fence --within 5s").name == "done")
        try mover.hear("moved")
        try mover.hear("moveEnded")
        try holder.hear("moved")
        let mapped = try holder.ask("map \(own)")
        #expect(mapped["status"]["status"] == "pending" && mapped["pending fences"] == 1)
        try holder.tell("wait \(own) --usage write --within 5s &")
        try mover.tell("signal")
        #expect(try holder.answer(to: "wait")["status"]["status"] == "ok")
        try story.end()
    }

    @Test("a holder refuses, is late, or the mover thinks better of it: the old generation goes on")
    func aborted() throws {
        let story = try PythonStory()
        let (mover, holder) = (try story.client(), try story.client())
        let (buffer, own) = try share(by: mover, to: holder)
        #expect(try mover.ask("abortMove \(buffer) 1").rule == "notMoving")
        #expect(try mover.ask("beginMove \(buffer) 2")["generation"] == 1)
        #expect(try mover.ask("beginMove \(buffer) 1 --within 11s").rule == "tooLong")
        try mover.ask("beginMove \(buffer) 1 --within 5s")
        try holder.hear("invalidate")
        #expect(try holder.ask("refuseMove \(own) 1").name == "done")
        try mover.hear("moving")
        try mover.hear("moveAborted")
        let refused = try mover.hear("moveEnded")
        #expect(refused["outcome"] == "refused" && refused["attachment"] == own && refused["client"] != 0)
        #expect(try holder.hear("moveAborted")["generation"] == 1)

        try mover.ask("beginMove \(buffer) 1 --within 50ms")
        try mover.hear("moving")
        try mover.hear("moveAborted")
        let late = try mover.hear("moveEnded")
        #expect(late["outcome"] == "late" && late["holders"][0]["attachment"] == own)
        try holder.hear("invalidate")
        try holder.hear("moveAborted")
        #expect(try holder.ask("acknowledge \(own) 1").rule == "notOwed")
        #expect(try holder.ask("endAccess \(own)")["state"] == "ok")

        try mover.ask("beginMove \(buffer) 1")
        try mover.hear("moving")
        try mover.hear("readyToCopy")
        #expect(try holder.ask("abortMove \(buffer) 1").rule == "notTheMover")
        #expect(try mover.ask("abortMove \(buffer) 1").name == "done")
        try mover.hear("moveAborted")
        #expect(try mover.hear("moveEnded")["outcome"] == "aborted")
        try holder.hear("moving")
        try holder.hear("moveAborted")
        #expect(try holder.ask("beginAccess \(own) 1").name == "done")
        #expect(try holder.ask("peek 5")["bytes"] == "68656c6c6f")
        try story.end()
    }

    @Test("whoever is late, or refuses, is cut off if that was asked for, and may map the new memory")
    func cutOff() throws {
        let story = try PythonStory()
        let (mover, holder) = (try story.client(), try story.client())
        let (buffer, own) = try share(by: mover, to: holder)
        for (generation, answer) in [(1, ""), (2, "refuseMove \(own) 2")] {
            try mover.ask("beginMove \(buffer) \(generation) --within \(answer.isEmpty ? "50ms" : "5s") --late cutOff")
            try mover.hear("moving")
            try holder.hear("invalidate")
            if !answer.isEmpty { #expect(try holder.ask(answer).name == "done") }
            try mover.hear("readyToCopy")
            #expect(try holder.hear("revoked")["state"] == "revoked")
            if answer.isEmpty { #expect(try holder.ask("endAccess \(own)")["state"] == "revoked") }
            try mover.ask("commitMove \(buffer) \(generation) --copy")
            try mover.hear("moved")
            let ended = try mover.hear("moveEnded")
            #expect(ended["outcome"] == "moved" && ended["holders"][0]["attachment"] == own)
            #expect(try holder.ask("map \(own)")["generation"] == .number(UInt64(generation + 1)))
            try holder.hear("moved")
            #expect(try holder.ask("beginAccess \(own) \(generation + 1)").name == "done")
        }
        // The first generation is the mover's still, who has not mapped since.
        #expect(try mover.hear("released")["generation"] == 2)
        try story.end()
    }

    @Test("a mover dies and a buffer ends in the middle of a move: everyone is told once")
    func endings() throws {
        let story = try PythonStory()
        let (owner, holder, mover) = (try story.client(), try story.client(), try story.client())
        let (buffer, own) = try share(by: owner, to: holder)
        try mover.ask("beginMove \(buffer) 1 --within 5s")
        try holder.hear("invalidate")
        try owner.hear("moving")
        mover.kill()
        try holder.hear("moveAborted")
        try owner.hear("moveAborted")
        #expect(try holder.ask("endAccess \(own)")["state"] == "ok")

        try owner.ask("beginMove \(buffer) 1")
        try owner.hear("moving")
        try owner.hear("readyToCopy")
        try holder.hear("moving")
        #expect(try owner.ask("withdraw \(buffer)").name == "done")
        try holder.hear("moveAborted")
        #expect(try holder.hear("attachmentEnded")["attachment"] == own)
        try owner.hear("moveAborted")
        #expect(try owner.hear("moveEnded")["outcome"] == "bufferEnded")
        try owner.hear("attachmentEnded")
        #expect(try holder.ask("map \(own)").rule == "noSuchAttachment")
        try story.end()
    }

    @Test("the registry makes memory, moves it and copies by itself")
    func byTheRegistry() throws {
        let story = try PythonStory()
        let (mover, holder) = (try story.client(), try story.client())
        #expect(try mover.ask("allocate --bytes 4096 --exporter abacus")["reason"] == "failed")
        #expect(try mover.ask("allocate --exporter memfd")["reason"] == "description")
        let image = try mover.ask("allocate --width 64 --height 48 --fourcc NV12 --exporter memfd --name image")
        let shown = try mover.ask("inspect \(image["buffer"])")
        #expect(shown["fourcc"] == "NV12" && shown["width"] == 64 && shown["planes"].count == 2)
        #expect(try mover.ask("allocate --bytes 4096 --exporter memfd --name image").rule == "nameTaken")
        let allocation = "allocate --bytes 4096 --exporter memfd --kept withdrawn --name cam"
        let (buffer, own) = try share(by: mover, to: holder, allocation)
        try holder.tell("poke hello")

        try mover.ask("beginMove \(buffer) 1 --within 5s --copier registry --exporter memfd")
        try mover.hear("moving")
        try holder.hear("invalidate")
        // A move that is refused says nothing about where this one goes.
        #expect(try holder.ask("beginMove \(buffer) 1 --copier registry --exporter abacus").rule == "moving")
        #expect(try mover.ask("commitMove \(buffer) 1 --copy").rule == "notMoving")
        try holder.ask("acknowledge \(own) 1")
        try mover.hear("moved")
        #expect(try mover.hear("moveEnded")["outcome"] == "moved")
        try holder.hear("moved")
        #expect(try holder.ask("map \(own)")["generation"] == 2)
        #expect(try holder.ask("peek 5")["bytes"] == "68656c6c6f")

        // What cannot be made leaves the old generation as it is.
        try mover.ask("beginMove \(buffer) 2 --copier registry --exporter abacus")
        try mover.hear("moving")
        try mover.hear("moveAborted")
        #expect(try mover.hear("moveEnded")["outcome"] == "copyFailed")
        try holder.hear("moving")
        try holder.hear("moveAborted")
        #expect(try holder.ask("beginAccess \(own) 2").name == "done")
        try holder.ask("withdraw \(buffer)")
        try mover.hear("withdrawn")
        try holder.hear("withdrawn")
        try story.end()
    }
}
