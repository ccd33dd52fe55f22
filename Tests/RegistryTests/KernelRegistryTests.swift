// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

@Suite("The registry's commands on real dma-bufs", .leavesNoDescriptor)
struct KernelRegistryTests {
    private static var soon: Deadline { .after(.seconds(30)) }

    @Test("a buffer moves from exporter to exporter, its content with it", .requires("vgem", "dumb:card0"))
    func moves() throws {
        let registry = try RunningRegistry()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let shared = try registry.run(
            "share", "frame", "--from", "vgem", "--image", "320x200:XR24", "--fill", "pattern", "--keep")
        #expect(shared.status == 0, "\(shared)")
        #expect(try registry.run("read", "frame", "\(folder)/before").status == 0)
        // 6.1 has neither of the two in the middle.
        let exporters = ["heap:system", "udmabuf", "dumb:card0", "dumb:card2", "vgem"].filter(Machine.has)
        for (index, exporter) in exporters.enumerated() {
            let run = try registry.run("move", "frame", "--to", exporter, "--within", "10")
            #expect(run.status == 0 && run.output.contains("from generation \(index + 1) to \(index + 2)"), "\(run)")
            #expect(try registry.run("read", "frame", "\(folder)/after").status == 0)
            #expect(try Running(["cmp", "\(folder)/before", "\(folder)/after"]).finish().status == 0, "\(exporter)")
        }
        // The old memory is not kept by anyone.
        try wait { try !registry.run("show", "frame").output.contains("quarantine") }
        _ = try registry.stop()
    }

    @Test(
        "a watcher follows a move to a heap, and the kernel proves that it let go", .requires("udmabuf", "heap:system"))
    func enforced() throws {
        let registry = try RunningRegistry()
        let shared = try registry.run("share", "frame", "--from", "udmabuf", "--size", "64K", "--keep")
        #expect(shared.status == 0, "\(shared)")
        let watcher = try registry.start("watch", "frame")
        try wait { try registry.run("show", "frame").output.contains("client") }
        let moved = try registry.run("move", "frame", "--to", "heap:system", "--within", "10")
        #expect(moved.status == 0, "\(moved)")
        try wait { try !registry.run("show", "frame").output.contains("quarantine") }
        let revoked = try registry.run("revoke", "frame", "--within", "10", "--final")
        #expect(revoked.status == 0 && revoked.output.hasPrefix("enforced: nobody has it any more"), "\(revoked)")
        let run = try watcher.finish()
        #expect(run.status == 0 && run.output.hasSuffix("frame: is asked back, for good\n"), "\(run)")
        _ = try registry.stop()
    }

    @Test("an owner that only waits keeps nothing: its own descriptor is not in the way", .requires("heap:system"))
    func owner() throws {
        let registry = try RunningRegistry()
        let owner = try registry.start("share", "frame", "--from", "heap:system", "--size", "64K")
        try wait { try registry.run("show", "frame").status == 0 }
        let revoked = try registry.run("revoke", "frame", "--within", "10")
        #expect(revoked.status == 0 && revoked.output.hasPrefix("enforced"), "\(revoked)")
        try owner.send(.terminate)
        #expect(try owner.finish().status == 0)
        _ = try registry.stop()
    }

    @Test("who says that it let go, and did not, is found out", .requires("heap:system"))
    func liar() throws {
        let registry = try RunningRegistry()
        let shared = try registry.run("share", "frame", "--from", "heap:system", "--size", "64K", "--keep")
        #expect(shared.status == 0, "\(shared)")
        var holder = try Holder(registry)
        let revoking = try registry.start("revoke", "frame", "--within", "10", "--json")
        guard case .revoke(let attachment, _, _, _) = try holder.client.nextNotice(until: Self.soon) else {
            Issue.record("it was not told")
            return
        }
        try holder.client.ask(.acknowledgeRevoke(attachment), until: Self.soon)
        let run = try revoking.finish()
        #expect(run.status == 0 && run.output.contains(#""level":"cooperative""#), "\(run)")
        #expect(try holder.attached.buffer.memory[0].referenceCount() ?? 0 > 1)
        _ = try registry.stop()
    }

    @Test("work by a command holds back those who wait for it", .requires("vgem"))
    func fences() throws {
        let registry = try RunningRegistry()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let shared = try registry.run("share", "frame", "--from", "vgem", "--size", "64K", "--keep")
        #expect(shared.status == 0, "\(shared)")
        // A fence has ten seconds at most, which are short under emulation: what can be asked from here is.
        var client = try RegistryConnection(at: registry.socket, until: Self.soon)
        let attached = try client.attach("frame", AttachTerms(.read), until: Self.soon)
        let script = "while ! [ -e \(folder)/go ]; do sleep 0.05; done; test $DMABUF_KIND = dmabuf"
        let writer = try registry.start("fence", "add", "frame", "--write", "--", "sh", "-c", script)
        try wait {
            guard
                case .snapshot(_, let fences) = try client.ask(
                    .snapshot(attached.attachment, .write), until: Self.soon)
            else { return false }
            return !fences.isEmpty
        }
        #expect(try registry.run("fence", "wait", "frame", "--write", "--timeout", "0.1").status == 124)
        // A move waits for it, too.
        let mover = try registry.start("move", "frame", "--to", "dumb:card0", "--within", "10")
        try wait { try client.list(until: Self.soon).first?.state.contains(.moving) == true }
        try Descriptor.open("\(folder)/go", .create).write("")
        #expect(try writer.finish().status == 0)
        let moved = try mover.finish()
        #expect(moved.status == 0 && moved.errors.isEmpty, "\(moved)")
        #expect(try registry.run("fence", "wait", "frame", "--bookkeep").status == 0)
        _ = try registry.stop()
    }
}
