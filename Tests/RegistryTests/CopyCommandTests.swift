// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

@Suite("copy", .leavesNoDescriptor)
struct CopyCommandTests {
    private func registry(_ shares: [[String]]) throws -> RunningRegistry {
        let registry = try RunningRegistry()
        for share in shares {
            let run = try registry.run(["share"] + share + ["--from", "memfd", "--keep"])
            #expect(run.status == 0, "\(run.errors)")
        }
        return registry
    }

    @Test("what is copied is the same in the destination")
    func copies() throws {
        let registry = try registry([["frame", "--fill", "pattern", "--size", "3M"], ["other", "--size", "3M"]])
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let run = try registry.run("copy", "frame", "other")
        #expect(run.status == 0 && run.errors.isEmpty && run.output.hasSuffix(", by cpu\n"), "\(run)")
        let json = try registry.run("copy", "frame", "other", "--json").output
        #expect(json.contains(#""by":"cpu""#) && json.contains(#""generation":1"#), "\(json)")
        for name in ["frame", "other"] { #expect(try registry.run("read", name, "\(folder)/\(name)").status == 0) }
        #expect(try Running(["cmp", "\(folder)/frame", "\(folder)/other"]).finish().status == 0)
        // Nothing of the work is left.
        #expect(try registry.run("fence", "wait", "other", "--bookkeep", "--timeout", "30").status == 0)
        _ = try registry.stop()
    }

    @Test("that the last writer has failed is told, until somebody writes it well")
    func failedWriter() throws {
        let registry = try registry([["frame", "--size", "4K"], ["other", "--size", "4K"]])
        let told = "frame: the last work that wrote it has failed (error 110)"
        // It takes longer than it has promised.
        _ = try registry.run("fence", "add", "frame", "--write", "--within", "0.1", "--", "sleep", "0.5")
        let copy = try registry.run("copy", "frame", "other")
        #expect(copy.status == 0 && copy.errors.contains(told), "\(copy)")
        let read = try registry.run("read", "frame", "/dev/null")
        #expect(read.status == 0 && read.errors.contains(told), "\(read)")
        #expect(try registry.run("fence", "add", "frame", "--write", "--", "true").status == 0)
        let again = try registry.run("copy", "frame", "other")
        #expect(again.status == 0 && again.errors.isEmpty, "\(again)")
        _ = try registry.stop()
    }

    @Test("what does not fit is said, and nothing is copied")
    func refusals() throws {
        let registry = try registry([
            ["frame", "--size", "64K"], ["small", "--size", "4K"], ["image", "--image", "64x48:XR24"],
            ["other", "--image", "64x48:RG16"],
        ])
        for (from, to, words) in [
            ("frame", "small", "65536 plain bytes cannot be copied into 4096 plain bytes"),
            ("image", "other", "64x48 XR24 cannot be copied into 64x48 RG16"),
            ("image", "frame", "64x48 XR24 cannot be copied into 65536 plain bytes"),
        ] {
            let run = try registry.run("copy", from, to)
            #expect(run.status == 1 && run.errors.contains(words), "\(run)")
            #expect(try registry.run("fence", "wait", to, "--bookkeep", "--timeout", "30").status == 0)
        }
        #expect(try registry.run("copy", "frame", "frame").status == 64)
        #expect(try registry.run("copy", "frame", "small", "--on", "kms:card0").status == 64)
        #expect(try registry.run("copy", "frame", "nobody").status == 4)
        _ = try registry.stop()
    }

    @Test("an image is copied, whatever its planes")
    func images() throws {
        let registry = try registry([["frame", "--image", "50x36:NV12"], ["other", "--image", "50x36:NV12"]])
        let run = try registry.run("copy", "frame", "other")
        #expect(run.status == 0, "\(run)")
        _ = try registry.stop()
    }

    @Test("waits for who writes the source and for who uses the destination, and not for who reads the source")
    func waits() throws {
        let registry = try registry([["frame", "--size", "4K"], ["other", "--size", "4K"]])
        for (name, kind, isWaitedFor) in [
            ("frame", "--write", true), ("frame", "--read", false), ("other", "--write", true),
            ("other", "--read", true),
        ] {
            let work = try registry.start("fence", "add", name, kind, "--", "sleep", "60")
            try wait { try registry.run("fence", "list", name).output.contains(String(kind.dropFirst(2))) }
            let late = try registry.run("copy", "frame", "other", "--within", isWaitedFor ? "0.2" : "10")
            #expect(late.status == (isWaitedFor ? 124 : 0), "\(name) \(kind): \(late)")
            let copy = try registry.start("copy", "frame", "other", "--within", "60")
            try work.send(.terminate)
            #expect(try work.finish().status == 143)
            // What was promised by a process that was killed is over, and ended badly for those who read.
            #expect(try copy.finish().status == 0, "\(name) \(kind)")
        }
        _ = try registry.stop()
    }
}
