// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// What the tool says, and with which status, where something is not as it should be.
@Suite("Errors in words", .leavesNoDescriptor, .timeLimit(.minutes(2)))
struct WordsTests {
    /// Runs a command as a user who is nobody here.
    private static let stranger = ["setpriv", "--reuid", "4711", "--regid", "4711", "--clear-groups"]

    @Test("where no registry is reached, it is said why")
    func notReached() throws {
        for (socket, status, words) in [
            ("/nonexistent/socket", 3, "start one: dmabuf-share serve"), ("/etc/passwd", 3, "which is no socket"),
            ("", 1, "no path for a socket"), (String(repeating: "x", count: 120), 1, "no path for a socket"),
        ] {
            let run = try Tool.run("list", "--socket", socket)
            #expect(run.status == status && run.errors.contains(words), "\(socket): \(run)")
        }
    }

    @Test("a socket that is closed to this user is no registry to start", .requires("root", "setpriv"))
    func closed() throws {
        let registry = try RunningRegistry()
        let run = try Running(Self.stranger + [Tool.path, "list", "--socket", registry.socket]).finish()
        #expect(run.status == 2 && run.errors.contains("is closed to this user"), "\(run)")
        _ = try registry.stop()
    }

    @Test("whom the policy keeps out is refused, and not told to try later", .requires("root", "setpriv"))
    func keptOut() throws {
        let registry = try PolicedRegistry("deny uid 4711 connect\n")
        let run = try Running(Self.stranger + [Tool.path, "list", "--socket", registry.socket]).finish()
        #expect(run.status == 4 && run.errors.contains("line 1 of the registry's policy"), "\(run)")
        #expect(run.errors.contains("ask whoever runs the registry"), "\(run)")
        _ = try registry.stop()
    }

    @Test("root stops another user's registry", .requires("root", "setpriv"))
    func stopOthers() throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        #expect(try Running(["chown", "4711", folder]).finish().status == 0)
        let socket = "\(folder)/registry.sock"
        let registry = try Running(Self.stranger + [Tool.path, "serve", "--socket", socket])
        try wait { try Running(Self.stranger + [Tool.path, "list", "--socket", socket]).finish().status == 0 }
        let run = try Tool.run("serve", "--stop", "--socket", socket)
        #expect(run.status == 0, "\(run)")
        #expect(try registry.finish().status == 0)
    }

    @Test("a registry that has no vault stops when it is told to")
    func stop() throws {
        let registry = try RunningRegistry("--no-vault")
        let stopped = try registry.run("serve", "--stop")
        #expect(stopped.status == 0, "\(stopped)")
        #expect(try registry.run("list").status == 3)
        #expect(try registry.run("serve", "--stop").status == 3)
        _ = try registry.stop()
    }

    @Test("which buffer is meant is said, and no name can be taken for a number")
    func names() throws {
        let registry = try RunningRegistry()
        let number = "0123456789abcdef0123456789abcdef"
        #expect(try registry.run("share", number, "--from", "memfd", "--size", "4K", "--keep").status == 64)
        #expect(try registry.run("share", "frame", "--from", "memfd", "--size", "4K", "--keep").status == 0)
        for command in [["watch", "frame", "other"], ["lock", "frame", "other", "--", "true"]] {
            let run = try Running([Tool.path, command[0], "--socket", registry.socket] + command.dropFirst()).finish()
            #expect(run.status == 4 && run.errors.contains("\"other\": there is no such buffer"), "\(run)")
        }
        _ = try registry.stop()
    }

    @Test("how much was written is said, and what was not stays")
    func short() throws {
        let registry = try RunningRegistry()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        #expect(
            try registry.run("share", "frame", "--from", "memfd", "--size", "4K", "--fill", "pattern", "--keep").status
                == 0)
        try Descriptor.open("\(folder)/five", .create).write("hello")
        // What is too much is not begun.
        let large = try registry.run("write", "frame", Tool.path)
        #expect(large.status == 1 && large.errors.contains("is larger than the buffer"), "\(large)")
        let run = try registry.run("write", "frame", "\(folder)/five")
        #expect(run.output == "wrote 5 B of 4 KiB; the rest is as it was, generation 1\n", "\(run)")
        #expect(try registry.run("write", "frame", "\(folder)/five", "--json").output.contains(#""transferred":5"#))
        #expect(try registry.run("read", "frame", "\(folder)/out").status == 0)
        let bytes = try Sysfs.bytes("\(folder)/out")
        #expect(bytes.prefix(6).elementsEqual(Array("hello".utf8) + [UInt8(truncatingIfNeeded: 5 * 31 + 7)]))
        let piped =
            "printf bye | \(Tool.path) write frame - --socket \(registry.socket) >/dev/null && "
            + "\(Tool.path) read frame - --socket \(registry.socket) 2>/dev/null | head -c 5"
        #expect(try Running(["sh", "-c", piped]).finish().output == "byelo")
        let missing = try registry.run("write", "frame", "/nonexistent")
        #expect(missing.status == 1 && missing.errors.contains("name a file"), "\(missing)")
        _ = try registry.stop()
    }

    @Test("a report that cannot be written is an error in the form that was asked for")
    func full() throws {
        let registry = try RunningRegistry()
        let script = "exec \(Tool.path) stats --json --socket \(registry.socket) >/dev/full"
        let run = try Running(["sh", "-c", script]).finish()
        #expect(run.status == 1 && run.errors.hasPrefix(#"{"error":{"code":"failed""#), "\(run)")
        let check = try Running(["sh", "-c", "exec \(Tool.path) serve --check /dev/null >/dev/full"]).finish()
        #expect(check.status == 1, "a check that nobody hears of: \(check)")
        _ = try registry.stop()
    }

    @Test("a command that cannot be run is told in the form that was asked for")
    func notRun() throws {
        let run = try Tool.run("export", "--from", "memfd", "--size", "4K", "--json", "--", "/nonexistent")
        #expect(
            run.status == 127 && run.errors.hasPrefix(#"{"error":{"code":"failed","message":"cannot run"#), "\(run)")
    }

    @Test("what watches for ever ends when nobody reads it")
    func watched() throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--from", "memfd", "--size", "4K", "--keep").status == 0)
        let script = """
            (\(Tool.path) watch frame --socket \(registry.socket); echo $? >&2) | head -n 1
            """
        let watcher = try Running(["sh", "-c", script])
        try wait { try registry.run("show", "frame", "--json").output.contains("\"attachments\":1") }
        for _ in 0..<3 { #expect(try registry.run("move", "frame", "--to", "memfd").status == 0) }
        let run = try watcher.finish()
        #expect(run.errors == "0\n" && run.output.hasPrefix("frame: attached"), "\(run)")
        _ = try registry.stop()
    }
}

@Suite("Work under way, as a command that is given the buffer sees it", .leavesNoDescriptor, .timeLimit(.minutes(2)))
struct FenceDescriptorTests {
    @Test("a descriptor for it is readable once it has ended, and there is none where nothing is under way")
    func fences() throws {
        let registry = try RunningRegistry()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        #expect(try registry.run("share", "frame", "--from", "memfd", "--size", "4K", "--keep").status == 0)
        let idle = try registry.run("attach", "frame", "--", "sh", "-c", "echo ${DMABUF_FENCE_FDS-none} $DMABUF_NAME")
        #expect(idle.output == "none frame\n", "\(idle)")
        let script = "while ! [ -e \(folder)/go ]; do sleep 0.01; done"
        let work = try registry.start("fence", "add", "frame", "--write", "--", "sh", "-c", script)
        try wait { try registry.run("fence", "list", "frame").output.contains("write") }
        let viewer = """
            import os, select
            poll = select.poll()
            for number in os.environ["DMABUF_FENCE_FDS"].split(): poll.register(int(number), select.POLLIN)
            print(len(poll.poll(100)), flush=True)
            open("\(folder)/go", "w")
            print(len(poll.poll(20000)))
            """
        let run = try registry.run("attach", "frame", "--read-only", "--", "python3", "-c", viewer)
        #expect(run.status == 0 && run.output == "0\n1\n", "\(run)")
        #expect(try work.finish().status == 0)
        _ = try registry.stop()
    }

    @Test("a buffer that was named by its number has no name to pass on")
    func number() throws {
        let registry = try RunningRegistry()
        let shared = try registry.run("share", "frame", "--from", "memfd", "--size", "4K", "--keep", "--json")
        let id = try #require(shared.output.firstRange(of: #""id":""#)).upperBound
        let number = String(shared.output[id...].prefix(32))
        let run = try registry.run("attach", number, "--", "sh", "-c", "echo ${DMABUF_NAME-none}")
        #expect(run.output == "none\n", "\(run)")
        _ = try registry.stop()
    }
}

@Suite("The demo, where others can watch", .leavesNoDescriptor, .timeLimit(.minutes(2)))
struct DemoEmbeddedTests {
    @Test("it serves the socket itself, and takes none that is served already")
    func embedded() throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let socket = "\(folder)/registry.sock"
        let demo = try Tool.start("demo", "--from", "memfd", "--embedded", "--socket", socket)
        try wait { try Tool.run("list", "--socket", socket).status == 0 }
        let run = try demo.finish()
        #expect(run.status == 0 && run.output.contains("steps verified"), "\(run)")
        #expect(FileType(at: socket) == .missing)
        let registry = try RunningRegistry()
        let refused = try Tool.run("demo", "--from", "memfd", "--embedded", "--socket", registry.socket)
        #expect(refused.status == 1 && refused.errors.contains("serves at"), "\(refused)")
        #expect(try Tool.run("demo", "--socket", socket).status == 64)
        _ = try registry.stop()
    }
}
