// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

@Suite("token", .leavesNoDescriptor)
struct TokenCommandTests {
    @Test("a secret goes into a new file of this user's, and nowhere else")
    func secrets() throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--from", "memfd", "--size", "8K", "--keep").status == 0)
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let file = "\(folder)/pass"
        let made = try registry.run("token", "create", "frame", "--rights", "read,fence", "--out", file)
        #expect(made.status == 0 && made.output.contains(", rights read, fence, in \(file)\n"), "\(made)")
        let secret = try #require(Sysfs.text(file))
        #expect(secret.utf8.count == 32 && !made.output.contains(secret) && !made.errors.contains(secret))
        #expect(try FileType.permissions(file) == 0o600)
        let again = try registry.run("token", "create", "frame", "--rights", "read", "--out", file)
        #expect(again.status == 1 && again.errors.contains("nothing is overwritten"), "\(again)")
        #expect(Sysfs.text(file) == secret)
        // What fails leaves no file.
        let none = try registry.run("token", "create", "other", "--rights", "read", "--out", "\(folder)/none")
        #expect(none.status == 4 && FileType(at: "\(folder)/none") == .missing, "\(none)")
        let shown = try registry.run("token", "create", "frame", "--rights", "all", "--json")
        #expect(shown.output.contains(#""secret":""#) && shown.output.contains(#""inspect"]"#), "\(shown)")
        let withdrawn = try registry.run("token", "withdraw", "--token-file", file)
        #expect(withdrawn.output == "withdrew 1 token(s); 0 attachment(s) are revoked with them\n", "\(withdrawn)")
        #expect(try registry.run("token", "withdraw", "--token-file", file).status == 4)
        _ = try registry.stop()
    }

    @Test("a token opens what its rights allow, and no more, as often as it has uses", .requires("root"))
    func uses() throws {
        let registry = try OpenRegistry()
        let (id, folder) = (registry.id, registry.folder)
        #expect(try registry.stranger("read", id, "\(folder)/out").status == 4)
        let read = try registry.token("--rights", "read", "--uses", "2")
        let byName = try registry.stranger("read", "frame", "\(folder)/out", "--token-file", read)
        #expect(byName.status == 4 && byName.errors.contains("names the buffer by its 32 digits"), "\(byName)")
        let copied = try registry.stranger("read", id, "\(folder)/out", "--token-file", read)
        #expect(copied.status == 0, "\(copied)")
        let written = try registry.stranger("write", id, "pattern", "--token-file", read)
        #expect(written.status == 4 && written.errors.contains("the right to write is missing"), "\(written)")
        let secret = try #require(Sysfs.text(read))
        let attached = try registry.stranger(
            "attach", id, "--read-only", "--", "true", environment: ["DMABUF_TOKEN": secret])
        #expect(attached.status == 0, "\(attached)")
        #expect(try registry.stranger("read", id, "\(folder)/out", "--token-file", read).status == 4)

        let inspect = try registry.token("--rights", "inspect")
        #expect(try registry.stranger("show", id).status == 4)
        #expect(try registry.stranger("show", id, "--token-file", inspect).output.contains("generation 1"))
        let move = try registry.token("--rights", "read,move", "--uses", "1")
        let moved = try registry.stranger("move", id, "--to", "memfd", "--token-file", move)
        #expect(moved.status == 0, "\(moved)")
        try registry.stop()
    }

    @Test("what is delegated is no wider, and is withdrawn with what it comes from", .requires("root"))
    func delegation() throws {
        let registry = try OpenRegistry()
        let (id, folder) = (registry.id, registry.folder)
        let parent = try registry.token("--rights", "read,delegate")
        let wide = try registry.stranger(
            "token", "attenuate", id, "--token-file", parent, "--rights", "write", "--out", "\(folder)/wide")
        #expect(wide.status == 4 && wide.errors.contains("does not carry the right to write"), "\(wide)")
        let child = try registry.stranger(
            "token", "attenuate", id, "--token-file", parent, "--rights", "read", "--out", "\(folder)/child")
        #expect(child.status == 0, "\(child)")
        let same = try registry.stranger(
            "token", "create", id, "--from-file", parent, "--rights", "read", "--out", "\(folder)/same")
        #expect(same.status == 0, "\(same)")
        #expect(try registry.stranger("read", id, "\(folder)/out", "--token-file", "\(folder)/child").status == 0)
        let withdrawn = try Tool.run(
            "token", "withdraw", "--token-file", parent, environment: ["DMABUF_SHARE_SOCKET": registry.socket])
        #expect(withdrawn.output.hasPrefix("withdrew 3 token(s)"), "\(withdrawn)")
        #expect(try registry.stranger("read", id, "\(folder)/out", "--token-file", "\(folder)/child").status == 4)
        try registry.stop()
    }

    @Test("a secret that is none is said to be none, and not what it was")
    func malformed() throws {
        let registry = try RunningRegistry()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        for text in ["", "+0000000000000000000000000000000", "xyz", String(repeating: "a", count: 300)] {
            try Descriptor.open("\(folder)/bad", .create).write(text)
            let run = try registry.run("token", "withdraw", "--token-file", "\(folder)/bad")
            #expect(run.status == 1 && run.errors.contains("holds no token"), "\(run)")
            #expect(text.isEmpty || !run.errors.contains(text), "\(run)")
        }
        #expect(try registry.run("token", "withdraw").status == 1)
        #expect(try registry.run("token", "withdraw", "--token-file", "\(folder)/none").status == 1)
        for arguments in [["--rights", "nonsense"], ["--rights", "read", "--uses", "0"], []] {
            let run = try Running([Tool.path, "token", "create", "frame"] + arguments).finish()
            #expect(run.status == 64, "\(arguments): \(run)")
        }
        _ = try registry.stop()
    }
}

/// A registry that everyone may reach, with a buffer that is root's alone.
private struct OpenRegistry: ~Copyable {
    private let registry: RunningRegistry
    let folder: String
    let id: String

    init() throws {
        let registry = try RunningRegistry("--mode", "0666")
        let end = registry.socket.lastIndex(of: "/") ?? registry.socket.endIndex
        _ = try Running(["chmod", "0711", String(registry.socket[..<end])]).finish()
        let shared = try registry.run("share", "frame", "--from", "memfd", "--size", "8K", "--keep", "--json")
        #expect(shared.status == 0, "\(shared)")
        let id = try #require(shared.output.split(separator: "\"id\":\"").last?.prefix(32))
        let folder = try TemporaryFolder.make()
        _ = try Running(["chown", "1234", folder]).finish()
        self.registry = registry
        self.folder = folder
        self.id = String(id)
    }

    var socket: String { registry.socket }

    /// Root's token, in a file of the stranger's.
    func token(_ options: String...) throws -> String {
        let path = "\(folder)/token.\(Deadline.now().nanoseconds)"
        let run = try Running(
            [Tool.path, "token", "create", "frame", "--out", path] + options,
            environment: ["DMABUF_SHARE_SOCKET": socket]
        ).finish()
        #expect(run.status == 0, "\(run)")
        _ = try Running(["chown", "1234", path]).finish()
        return path
    }

    /// Runs the tool as another user, who may not see the buffer.
    func stranger(_ arguments: String..., environment: [String: String] = [:]) throws -> Run {
        try Running(
            ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", Tool.path] + arguments,
            environment: environment.merging(["DMABUF_SHARE_SOCKET": socket]) { $1 }
        ).finish()
    }

    consuming func stop() throws {
        TemporaryFolder.remove(folder)
        _ = try registry.stop()
    }
}
