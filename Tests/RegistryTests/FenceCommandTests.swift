// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

@Suite("fence", .leavesNoDescriptor)
struct FenceCommandTests {
    private func shared() throws -> RunningRegistry {
        let registry = try RunningRegistry()
        let run = try registry.run("share", "frame", "--from", "memfd", "--size", "8K", "--keep")
        #expect(run.status == 0, "\(run.errors)")
        return registry
    }

    @Test("work by a command holds back those who wait for it, until the command ends")
    func holdsBack() throws {
        let registry = try shared()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        // It ends when the file is there.
        let script = "while ! [ -e \(folder)/go ]; do sleep 0.01; done"
        let writer = try registry.start("fence", "add", "frame", "--write", "--", "sh", "-c", script)
        try wait { try registry.run("fence", "list", "frame").output.contains("write") }
        let late = try registry.run("fence", "wait", "frame", "--write", "--timeout", "1")
        #expect(late.status == 124 && late.errors.contains("did not end in time"), "\(late)")
        #expect(try registry.run("read", "frame", "\(folder)/out", "--timeout", "1").status == 124)
        let waiting = try registry.start("fence", "wait", "frame", "--json")
        try Descriptor.open("\(folder)/go", .create).write("")
        #expect(try writer.finish().status == 0)
        let waited = try waiting.finish()
        #expect(waited.status == 0 && waited.output.contains(#""status":"ok","usage":"read""#), "\(waited)")
        #expect(try registry.run("read", "frame", "\(folder)/out").status == 0)
        _ = try registry.stop()
    }

    @Test("each class is waited for by those whom it concerns")
    func classes() throws {
        let registry = try shared()
        for (kind, heldBack) in [
            ("--bookkeep", ["--bookkeep"]), ("--read", ["--read", "--bookkeep"]),
            ("--write", ["--write", "--read", "--bookkeep"]),
        ] {
            let work = try registry.start("fence", "add", "frame", kind, "--", "sleep", "60")
            try wait { try registry.run("fence", "list", "frame").output.contains(kind.dropFirst(2)) }
            for waited in ["--write", "--read", "--bookkeep"] {
                let isHeldBack = heldBack.contains(waited)
                let run = try registry.run("fence", "wait", "frame", waited, "--timeout", isHeldBack ? "0.05" : "30")
                #expect(run.status == (isHeldBack ? 124 : 0), "\(kind) \(waited): \(run)")
            }
            try work.send(.terminate)
            #expect(try work.finish().status == 143)
            // What was read is as good as before.
            #expect(try registry.run("fence", "wait", "frame").status == (kind == "--write" ? 1 : 0))
        }
        _ = try registry.stop()
    }

    @Test(
        "writing that fails is told to who waits, until somebody has written well", arguments: ["exit 7", "kill -9 $$"])
    func failure(_ end: String) throws {
        let registry = try shared()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let script = "while ! [ -e \(folder)/go ]; do sleep 0.01; done; \(end)"
        let writer = try registry.start("fence", "add", "frame", "--write", "--", "sh", "-c", script)
        try wait { try registry.run("fence", "list", "frame").output.contains("write") }
        let waiting = try registry.start("fence", "wait", "frame", "--write")
        try Descriptor.open("\(folder)/go", .create).write("")
        #expect(try writer.finish().status == (end == "exit 7" ? 7 : 137))
        let waited = try waiting.finish()
        #expect(waited.status == 1 && waited.errors.contains("ended with owner dead"), "\(waited)")
        #expect(try registry.run("fence", "wait", "frame", "--write").status == 1)
        #expect(try registry.run("fence", "add", "frame", "--write", "--", "true").status == 0)
        #expect(try registry.run("fence", "wait", "frame", "--write").status == 0)
        _ = try registry.stop()
    }

    @Test("the fence is the command's, not its starter's: it outlives the starter's death")
    func outlives() throws {
        let registry = try shared()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let script = "echo $$ >\(folder)/pid; exec sleep 60"
        let starter = try registry.start("fence", "add", "frame", "--write", "--", "sh", "-c", script)
        try wait { Sysfs.integer("\(folder)/pid") != nil }
        // The command's own fence stands beside the eventfd that tells how it ends.
        try wait { try registry.run("fence", "list", "frame").output.components("write") == 2 }
        try starter.send(.kill)
        #expect(try starter.finish().status == 137)
        #expect(try registry.run("fence", "wait", "frame", "--timeout", "0.1").status == 124)
        let process = try #require(Sysfs.integer("\(folder)/pid"))
        _ = try Running(["kill", "\(process)"]).finish()
        let waited = try registry.run("fence", "wait", "frame")
        #expect(waited.status == 1 && waited.errors.contains("owner dead"), "nobody knows how it ended: \(waited)")
        _ = try registry.stop()
    }

    @Test("work that does not end in time is an error for those who wait, and is told")
    func expired() throws {
        let registry = try shared()
        let work = try registry.start("fence", "add", "frame", "--write", "--within", "0.1", "--", "sleep", "3")
        let waited = try registry.run("fence", "list", "frame")
        #expect(waited.status == 0)
        let run = try work.finish()
        #expect(run.status == 0 && run.errors.contains("did not end in time, and is an error now"), "\(run)")
        let failed = try registry.run("fence", "wait", "frame")
        #expect(failed.status == 1 && failed.errors.contains("ended with error 110"), "\(failed)")
        let list = try registry.run("fence", "list", "frame")
        #expect(list.output == "nothing is under way; what was under way ended with error 110\n", "\(list)")
        _ = try registry.stop()
    }

    @Test("a command takes as long as it takes, and who waits from the beginning waits to the end")
    func long() throws {
        let registry = try shared()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let work = try registry.start(
            "fence", "add", "frame", "--write", "--", "sh", "-c", "while ! [ -e \(folder)/go ]; do sleep 0.05; done")
        try wait { try registry.run("fence", "list", "frame").output.contains("write") }
        let early = try registry.start("fence", "wait", "frame", "--timeout", "30")
        // Longer than one fence may last.
        Clock.sleep(.seconds(11))
        #expect(try registry.run("fence", "list", "frame").output.contains("write"))
        try Descriptor.open("\(folder)/go", .create).write("")
        #expect(try early.finish().status == 0)
        let run = try work.finish()
        #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
        _ = try registry.stop()
    }

    @Test("a command that cannot be run leaves no work behind")
    func notFound() throws {
        let registry = try shared()
        #expect(try registry.run("fence", "add", "frame", "--write", "--", "/nonexistent").status == 127)
        #expect(try registry.run("fence", "wait", "frame", "--bookkeep").status == 0)
        #expect(try registry.run("fence", "add", "frame", "--", "true").status == 64)
        #expect(try registry.run("fence", "add", "frame", "--write", "--read", "--", "true").status == 64)
        #expect(try registry.run("fence", "add", "frame", "--write").status == 64)
        let long = try registry.run("fence", "add", "frame", "--write", "--within", "60", "--", "true")
        #expect(long.status == 64 && long.errors.contains("at most 10"), "\(long)")
        #expect(try registry.run("fence", "add", "frame", "--write", "--within", "0", "--", "true").status == 64)
        _ = try registry.stop()
    }
}

extension String {
    fileprivate func components(_ word: String) -> Int {
        split(separator: word, omittingEmptySubsequences: false).count - 1
    }
}
