// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

@testable import DMABufClient

/// Accesses without a message by a client that knows the pages from PROTOCOL.md alone, under moves by one in Swift.
@Suite("Control pages in Python", .leavesNoDescriptor, .requires("python3"))
struct PythonPagesTests {
    @Test("an access begins and ends without a message")
    func noMessage() throws {
        try play { (story, mover) in
            let holder = try story.client(hasPages: true)
            let own = try holder.ask("attachNamed moved")["attachment"]
            let before = try mover.requests()
            for _ in 0..<10 {
                let begun = try holder.ask("begin \(own)")
                #expect(begun["state"] == "inside" && begun["generation"] == 1 && begun["asked"] == [])
                let ended = try holder.ask("end \(own)")
                #expect(ended["state"] == "ok" && ended["asked"] == [])
            }
            #expect(try mover.requests() == before)
        }
    }

    @Test("a holder is waited for, and its end acknowledges; the next begin sees the new generation")
    func holder() throws {
        try play { (story, mover) in
            let holder = try story.client(hasPages: true)
            let own = try holder.ask("attachNamed moved")["attachment"]
            // Twice, for what counts is the last end.
            for _ in 0..<2 { #expect(try holder.ask("begin \(own)")["state"] == "inside") }
            try mover.begin()
            #expect(try holder.hear("invalidate")["attachment"] == own)
            let first = try holder.ask("end \(own)")
            #expect(first["state"] == "ok" && first["asked"] == ["endAccess"])
            #expect(try !mover.isReady(), "it was not waited for")
            let last = try holder.ask("end \(own)")
            #expect(last["state"] == "ok" && last["asked"] == ["acknowledge"])
            try mover.commit()
            #expect(try holder.hear("moved")["generation"] == 2)
            let stale = try holder.ask("begin \(own)")
            #expect(stale["state"] == "stale" && stale["generation"] == 2 && stale["asked"] == ["beginAccess"])
            #expect(try holder.ask("map \(own)")["generation"] == 2)
            let begun = try holder.ask("begin \(own)")
            #expect(begun["state"] == "inside" && begun["generation"] == 2 && begun["asked"] == [])
            #expect(try holder.ask("end \(own)")["state"] == "ok")
        }
    }

    @Test("who is idle costs a move nothing, were it stopped")
    func idle() throws {
        try play { (story, mover) in
            let idle = try story.client(hasPages: true)
            let own = try idle.ask("attachNamed moved")["attachment"]
            try idle.ask("begin \(own)")
            try idle.ask("end \(own)")
            try idle.send(.stop)
            try mover.begin(within: .seconds(10))
            try mover.commit()
            try idle.send(.resume)
            #expect(try idle.ask("begin \(own)")["state"] == "stale")
            #expect(try idle.ask("map \(own)")["generation"] == 2)
            // And it was told nothing, as the end of the story sees.
        }
    }

    @Test("a begin during a move waits for its end")
    func waits() throws {
        try play { (story, mover) in
            let idle = try story.client(hasPages: true)
            let own = try idle.ask("attachNamed moved")["attachment"]
            try mover.begin()
            #expect(try mover.isReady())
            #expect(try idle.ask("begin \(own) --within 20ms")["state"] == "moving")
            let before = try mover.requests()
            try idle.tell("begin \(own)")
            // It has met the move when it has backed out, which is a message.
            try wait { try mover.requests() > before }
            try mover.abort()
            let begun = try idle.answer(to: "begin")
            #expect(begun["state"] == "inside" && begun["generation"] == 1 && begun["asked"] == ["acknowledge"])
            #expect(try idle.ask("end \(own)")["state"] == "ok")
        }
    }

    @Test("an access that is cut off is lost, and its end says so")
    func cutOff() throws {
        try play { (story, mover) in
            let holder = try story.client(hasPages: true)
            let own = try holder.ask("attachNamed moved")["attachment"]
            try holder.ask("begin \(own)")
            try mover.begin(within: .milliseconds(20), late: .cutOff)
            try holder.hear("invalidate")
            #expect(try holder.hear("revoked")["state"] == "revoked")
            try mover.commit()
            let ended = try holder.ask("end \(own)")
            #expect(ended["state"] == "lost" && ended["asked"] == ["endAccess"])
            #expect(try holder.ask("begin \(own)")["state"] == "revoked")
            #expect(try holder.ask("map \(own)")["generation"] == 2)
            try holder.hear("moved")
            #expect(try holder.ask("begin \(own)")["state"] == "inside")
        }
    }

    @Test("what is taken from another is asked for once")
    func asks() throws {
        try play { (story, mover) in
            let (kept, lost) = (try story.client(hasPages: true), try story.client(hasPages: true))
            let own = try kept.ask("attachNamed moved")["attachment"]
            let theirs = try lost.ask("attachNamed moved")["attachment"]
            try lost.ask("begin \(theirs)")
            let inside = try kept.ask("begin \(own)")
            #expect(inside["state"] == "inside")
            try mover.revoke(theirs)
            try lost.hear("revoke")
            try lost.hear("revoked")
            #expect(try lost.ask("end \(theirs)")["state"] == "lost")
            #expect(try lost.ask("begin \(theirs)")["state"] == "revoked")
            // An access that it was inside of meanwhile is kept, and found to be.
            let ended = try kept.ask("end \(own)")
            #expect(ended["state"] == "ok" && ended["asked"] == ["endAccess"])
            #expect(try kept.ask("begin \(own)")["asked"] == ["beginAccess", "endAccess"])
            #expect(try kept.ask("end \(own)")["asked"] == [])
            #expect(try kept.ask("begin \(own)")["asked"] == [])
        }
    }

    @Test("a pending fence is waited for")
    func fences() throws {
        try play { (story, _) in
            let (writer, reader) = (try story.client(), try story.client(hasPages: true))
            let theirs = try writer.ask("attachNamed moved")["attachment"]
            let own = try reader.ask("attachNamed moved --access read")["attachment"]
            try writer.ask("reserve \(theirs)")
            try writer.ask("addFence \(theirs) --within 10s")
            let late = try reader.ask("begin \(own) --access read --within 20ms")
            #expect(late["state"] == "timedOut" && late["asked"] == ["wait"])
            try writer.tell("signal")
            #expect(try reader.ask("begin \(own) --access read")["state"] == "inside")
            #expect(try reader.ask("end \(own)")["asked"] == [])
        }
    }

    @Test("who is cut off sees it in its connection's word, before anybody says so")
    func connection() throws {
        try play { (story, mover) in
            let bad = try story.client(hasPages: true)
            let own = try bad.ask("attachNamed moved")["attachment"]
            try bad.ask("begin \(own)")
            // In one go, so that it looks at nothing else in between.
            try bad.tell("untilCutOff\nend \(own)\nbegin \(own)")
            try mover.revoke(own, cuttingOff: true)
            let (ended, begun) = (try bad.answer(to: "end"), try bad.answer(to: "begin"))
            #expect(ended["state"] == "lost" && ended["asked"] == [])
            #expect(begun["state"] == "cutOff" && begun["asked"] == [])
            try bad.hear("revoke")
            try bad.hear("revoked")
            #expect(try bad.parting().contains("ignoredRevoke"))
        }
    }

    private func play(_ body: (PythonStory, inout FieldMover) throws -> Void) throws {
        let story = try PythonStory()
        var mover = try FieldMover(at: story.socket)
        try body(story, &mover)
        mover.leave()
        try story.everyoneHears("attachmentEnded")
        try story.end()
    }
}
