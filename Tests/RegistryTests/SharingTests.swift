// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

@Suite("Sharing through the registry", .leavesNoDescriptor)
struct SharingTests {
    @Test("what one process shares, another lists, shows, reads and writes")
    func story() throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("list").output == "no buffers\n")
        let shared = try registry.run(
            "share", "model", "--from", "memfd", "--size", "64K", "--fill", "pattern", "--keep")
        #expect(shared.status == 0 && shared.output.hasPrefix("sharing \"model\", 64 KiB of memfd, as "), "\(shared)")
        #expect(try registry.run("list").output.contains("model  "))
        #expect(try registry.run("show", "model").output.contains("generation 1"))
        let read = try registry.run(
            "attach", "model", "--", "sh", "-c", "test $DMABUF_NAME = model -a $DMABUF_SIZES = 65536")
        #expect(read.status == 0, "\(read.errors)")
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        #expect(try registry.run("read", "model", "\(folder)/out").status == 0)
        #expect(try registry.run("share", "copy", "--from", "memfd", "--size", "64K", "--keep").status == 0)
        #expect(try registry.run("write", "copy", "\(folder)/out").status == 0)
        #expect(try registry.run("read", "copy", "\(folder)/again").status == 0)
        #expect(try Running(["cmp", "\(folder)/out", "\(folder)/again"]).finish().status == 0)
        #expect(try registry.run("remove", "model").status == 0)
        #expect(try registry.run("show", "model").status == 4)
        #expect(try registry.stop().status == 0)
    }

    @Test("without a registry, a command says so and ends with 3")
    func nobodyServes() throws {
        let run = try Tool.run("list", environment: ["DMABUF_SHARE_SOCKET": "/tmp/nobody-serves-here.sock"])
        #expect(run.status == 3 && run.errors.contains("dmabuf-share serve"), "\(run.errors)")
    }

    @Test("a second registry at the same place is refused, and the first goes on")
    func secondRegistry() throws {
        let registry = try RunningRegistry()
        let second = try Tool.run("serve", "--socket", registry.socket)
        #expect(second.status == 1 && second.errors.contains("serves there already"), "\(second.errors)")
        #expect(try registry.run("list").status == 0)
        _ = try registry.stop()
    }

    @Test("a buffer lives as long as its owner and its last attachment, whoever is killed")
    func lifetime() throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("list").status == 0)
        try registry.settle(at: nil)
        let before = registry.openDescriptors()
        let owner = try registry.start("share", "frame", "--from", "memfd", "--size", "8K", "--fill", "pattern")
        try wait { try registry.run("show", "frame").status == 0 }
        let holder = try registry.start("attach", "frame", "--", "sleep", "60")
        try wait { try registry.run("show", "frame", "--json").output.contains(#""attachments":1"#) }
        try owner.send(.kill)
        #expect(try owner.finish().status == 137)
        // The holder has it still, and so it is there for others of this user.
        #expect(try registry.run("show", "frame").status == 0)
        try holder.send(.kill)
        _ = try holder.finish()
        try wait { try registry.run("list").output == "no buffers\n" }
        try registry.settle(at: before)
        _ = try registry.stop()
    }

    @Test("who runs a command comes back to the registry that comes next, and what it shares and has promised goes on")
    func comesBack() throws {
        var registry = try RunningRegistry()
        let owner = try registry.start("share", "frame", "--from", "memfd", "--size", "8K", "--", "sleep", "60")
        try wait { try registry.run("show", "frame").status == 0 }
        let writer = try registry.start("fence", "add", "frame", "--write", "--", "sleep", "60")
        try wait { try registry.run("fence", "list", "frame").output.contains("write") }
        try registry.restart()
        // It is known again only once its starter has come back.
        try wait { try registry.run("fence", "list", "frame").output.contains("write") }
        // Longer than the absent are waited for.
        Clock.sleep(.seconds(11))
        #expect(try registry.run("show", "frame").status == 0)
        try owner.send(.terminate)
        try writer.send(.terminate)
        for errors in [try owner.finish().errors, try writer.finish().errors] {
            #expect(!errors.contains("the registry is gone"), "\(errors)")
        }
        _ = try registry.stop()
    }

    @Test("what the registry says while a command runs is told, and the command keeps what it has")
    func told() throws {
        let registry = try RunningRegistry()
        let owner = try registry.start("share", "frame", "--from", "memfd", "--size", "8K", "--", "sleep", "60")
        try wait { try registry.run("show", "frame").status == 0 }
        let holder = try registry.start("attach", "frame", "--", "sleep", "60")
        try wait { try registry.run("show", "frame", "--json").output.contains(#""attachments":1"#) }
        var other = try RegistryConnection(at: registry.socket, until: .after(.seconds(5)))
        guard case .found(let id, _) = try other.ask(.lookup("frame", uid: nil), until: .after(.seconds(5))) else {
            return
        }
        let terms = RevokeTerms(.everyone, within: .milliseconds(100))
        let level = try other.ask(.revoke(id, terms), until: .after(.seconds(5)))
        guard case .revoked(.unconfirmed(let late)) = level else {
            Issue.record("\(level)")
            return
        }
        #expect(late.count == 1)
        try owner.send(.terminate)
        #expect(try owner.finish().status == 143)
        try holder.send(.terminate)
        let told = try holder.finish()
        #expect(told.status == 143)
        #expect(told.errors.contains("frame: is asked back\n"), "\(told)")
        #expect(told.errors.contains("frame: was revoked: it was not let go of in time\n"), "\(told)")
        _ = try registry.stop()
    }

    @Test("a shell is offered this user's names, and nothing where there is no registry")
    func completion() throws {
        let registry = try RunningRegistry()
        for name in ["model", "frame", "odd name"] {
            #expect(try registry.run("share", name, "--from", "memfd", "--size", "8K", "--keep").status == 0)
        }
        let words = ["---completion", "show", "--", "positional@0", "2", "0", "dmabuf-share", "show", ""]
        let run = try Running([Tool.path] + words, environment: ["DMABUF_SHARE_SOCKET": registry.socket]).finish()
        #expect(run.output == "frame\nmodel\n" && run.status == 0 && run.errors.isEmpty, "\(run)")
        let named = try Running([Tool.path] + words + ["--socket", registry.socket]).finish()
        #expect(named.output == "frame\nmodel\n", "\(named)")
        _ = try registry.stop()
        let none = try Running([Tool.path] + words, environment: ["DMABUF_SHARE_SOCKET": "/tmp/nobody.sock"]).finish()
        #expect(none.status == 0 && none.errors.isEmpty && none.output.allSatisfy(\.isNewline), "\(none)")
    }

    @Test("a descriptor that is not what it is called is refused, and the connection stands")
    func unsealed() throws {
        let registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: .after(.seconds(5)))
        let buffer = try MemFDExporter().export(.bytes(4096))
        let (id, generation) = try client.register(buffer, name: "good", until: .after(.seconds(5)))
        #expect(generation == .first)
        do throws(RegistryError) {
            _ = try client.register(buffer, name: "good", until: .after(.seconds(5)))
            Issue.record("a name was given twice")
        } catch {
            guard case .ruledOut(.nameTaken) = error else { throw error }
        }
        let attached = try client.attach(id, AttachTerms(.read), until: .after(.seconds(5)))
        #expect(attached.buffer.memory[0].inode == buffer.memory[0].inode)
        _ = try registry.stop()
    }
}

@Suite("share --allow", .leavesNoDescriptor)
struct ShareAllowTests {
    @Test("what cannot be shared as asked is not left behind, and its name is free")
    func refused() throws {
        let registry = try RunningRegistry()
        // One more than a buffer has.
        let allow = (1...17).flatMap { ["--allow", "user:\($0)=read"] }
        let share = ["share", "frame", "--from", "memfd", "--size", "8K", "--keep"]
        let run = try registry.run(share + allow)
        #expect(run.status == 4, "\(run)")
        #expect(try registry.run("list").output == "no buffers\n")
        #expect(try registry.run(share + allow.dropLast(2)).status == 0)
        _ = try registry.stop()
    }
}

/// Waits for what comes about by itself.
func wait(
    within limit: Duration = .seconds(60), _ condition: () throws -> Bool,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let deadline = Deadline.after(limit)
    while try !condition() {
        guard !deadline.hasPassed else {
            Issue.record("waited in vain", sourceLocation: sourceLocation)
            return
        }
        Clock.sleep(.milliseconds(5))
    }
}
