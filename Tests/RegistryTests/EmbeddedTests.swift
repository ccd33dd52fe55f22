// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("share --embedded", .leavesNoDescriptor)
struct EmbeddedTests {
    @Test(
        "it serves the socket itself, with everything a registry does, until a signal",
        arguments: ["terminate", "kill"])
    func serves(how: String) throws {
        let place = try Place()
        let share = try place.start(
            "share", "frame", "--from", "memfd", "--size", "8K", "--fill", "pattern", "--embedded")
        try wait { try place.run("show", "frame").status == 0 }
        let other = try place.run("share", "other", "--from", "memfd", "--size", "4K", "--keep")
        #expect(other.status == 0, "\(other)")
        #expect(try place.run("list").output.split(separator: "\n").count >= 3)
        #expect(try place.run("move", "frame", "--to", "memfd").status == 0)
        #expect(try place.run("read", "frame", place.folder + "/out").status == 0)
        try share.send(how == "kill" ? .kill : .terminate)
        let run = try share.finish()
        #expect(run.status == (how == "kill" ? 137 : 0) && run.errors.isEmpty, "\(run)")
        #expect(run.output.hasPrefix("sharing \"frame\", 8 KiB of memfd"), "\(run)")
        // Its end is the registry's, and takes the socket with it.
        try wait { FileType(at: place.socket) == .missing }
        #expect(try place.run("list").status == 3)
        // Nothing was kept for whoever serves there next.
        let next = try place.start("serve")
        try wait { try place.run("list").status == 0 }
        #expect(try place.run("list").output == "no buffers\n")
        #expect(try place.run("serve", "--stop").status == 0)
        #expect(try next.finish().status == 0)
        place.remove()
    }

    @Test("a command has the registry for as long as it runs, and its status is ours")
    func command() throws {
        let place = try Place()
        let run = try place.run(
            "share", "frame", "--from", "memfd", "--size", "8K", "--embedded", "--", "sh", "-c",
            "\(Tool.path) show frame >/dev/null && test -n \"$DMABUF_FDS\" && exit 7")
        #expect(run.status == 7 && run.errors.isEmpty, "\(run)")
        #expect(FileType(at: place.socket) == .missing)
        place.remove()
    }

    @Test("where a registry serves already it says so, and leaves that alone")
    func taken() throws {
        let registry = try RunningRegistry()
        let run = try registry.run("share", "frame", "--from", "memfd", "--size", "8K", "--embedded")
        #expect(run.status == 1 && run.errors.contains("a registry serves there already"), "\(run)")
        #expect(try registry.run("show", "frame").status == 4)
        let keep = try registry.run("share", "frame", "--from", "memfd", "--size", "8K", "--embedded", "--keep")
        #expect(keep.status == 64, "\(keep)")
        _ = try registry.stop()
    }
}

/// A socket that nobody serves yet.
private struct Place {
    let folder: String
    var socket: String { folder + "/registry.sock" }

    init() throws { folder = try TemporaryFolder.make() }

    func start(_ arguments: String...) throws -> Running {
        try Running([Tool.path] + arguments, environment: ["DMABUF_SHARE_SOCKET": socket])
    }

    func run(_ arguments: String...) throws -> Run {
        try Running([Tool.path] + arguments, environment: ["DMABUF_SHARE_SOCKET": socket]).finish()
    }

    func remove() { TemporaryFolder.remove(folder) }
}
