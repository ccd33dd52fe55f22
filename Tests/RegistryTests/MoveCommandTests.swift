// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

@Suite("move", .leavesNoDescriptor)
struct MoveCommandTests {
    private static var soon: Deadline { .after(.seconds(10)) }

    private func shared() throws -> RunningRegistry {
        let registry = try RunningRegistry()
        let run = try registry.run(
            "share", "frame", "--from", "memfd", "--image", "64x48:NV12", "--fill", "pattern", "--keep")
        #expect(run.status == 0, "\(run.errors)")
        return registry
    }

    @Test("the content is the same, under the next generation")
    func moves() throws {
        let registry = try shared()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        #expect(try registry.run("read", "frame", "\(folder)/before").status == 0)
        let run = try registry.run("move", "frame", "--to", "memfd")
        #expect(
            run.status == 0 && run.errors.isEmpty
                && run.output == "moved \"frame\", 20 KiB, from generation 1 to 2, which memfd made\n", "\(run)")
        #expect(try registry.run("read", "frame", "\(folder)/after").status == 0)
        #expect(try Running(["cmp", "\(folder)/before", "\(folder)/after"]).finish().status == 0)
        let again = try registry.run("move", "frame", "--to", "memfd", "--json")
        #expect(again.output.contains(#""from":2,"#) && again.output.contains(#""to":3,"#), "\(again)")
        #expect(again.output.contains(#""cut_off":[],"#) && again.output.contains(#""exporter":"memfd""#), "\(again)")
        let shown = try registry.run("show", "frame", "--json").output
        #expect(shown.contains(#""generation":3"#) && shown.contains(#""fourcc":"NV12""#), "\(shown)")
        _ = try registry.stop()
    }

    @Test("with --wait a pinned buffer moves as soon as it is let go, and else is refused in the end")
    func insists() throws {
        let registry = try shared()
        var client = try RegistryConnection(at: registry.socket, until: Self.soon)
        let attached = try client.attach("frame", AttachTerms(.read), until: Self.soon)
        try client.ask(.pin(attached.attachment), until: Self.soon)
        let refused = try registry.run("move", "frame", "--to", "memfd", "--wait", "0.3")
        #expect(refused.status == 4 && refused.errors.contains("pinned by attachment"), "\(refused)")
        let interrupted = try registry.start("move", "frame", "--to", "memfd", "--wait", "60")
        let mover = try registry.start("move", "frame", "--to", "memfd", "--wait", "60")
        try wait { try registry.run("show", "frame", "--json").output.contains(#""attachments":3"#) }
        Clock.sleep(.milliseconds(100))
        try interrupted.send(.interrupt)
        #expect(try interrupted.finish().status == 4)
        let isThere = mover.isThere
        #expect(isThere, "it did not wait")
        try client.ask(.unpin(attached.attachment), until: Self.soon)
        let run = try mover.finish()
        #expect(run.status == 0 && run.output.contains("from generation 1 to 2"), "\(run)")
        _ = try registry.stop()
    }

    @Test("a holder is waited for, and maps the new memory afterwards")
    func holder() throws {
        let registry = try shared()
        var holder = try Holder(registry)
        let mover = try registry.start("move", "frame", "--to", "memfd", "--within", "10")
        guard case .invalidate(_, _, .first, _) = try holder.client.nextNotice(until: Self.soon) else {
            Issue.record("it was not told")
            return
        }
        try holder.client.acknowledge(holder.attached.attachment, .first, until: Self.soon)
        let run = try mover.finish()
        #expect(run.status == 0, "\(run)")
        guard case .moved(_, _, Generation(2)) = try holder.client.nextNotice(until: Self.soon) else {
            Issue.record("it was not told of the end")
            return
        }
        #expect(try holder.client.map(holder.attached.attachment, until: Self.soon).generation == Generation(2))
        _ = try registry.stop()
    }

    @Test("late holders abort it with 124, or lose their access, as was asked for; either is told with who")
    func late() throws {
        let registry = try shared()
        var holder = try Holder(registry)
        let aborted = try registry.run("move", "frame", "--to", "memfd", "--within", "0.1")
        #expect(aborted.status == 124, "\(aborted)")
        let who = "attachment \(holder.attached.attachment.rawValue) of client "
        #expect(aborted.errors.contains("stays at generation 1: not all let go in time: \(who)"), "\(aborted.errors)")
        let run = try registry.run("move", "frame", "--to", "memfd", "--within", "0.1", "--late", "cut-off")
        #expect(run.status == 0 && run.output.contains("; cut off: \(who)"), "\(run)")
        let ended = try holder.client.ask(.endAccess(holder.attached.attachment), until: Self.soon)
        #expect(ended == .accessEnded(.revoked))
        _ = try registry.stop()
    }

    @Test("who pins it is named, and who will not let go")
    func pinned() throws {
        let registry = try shared()
        var holder = try Holder(registry)
        try holder.client.ask(.pin(holder.attached.attachment), until: Self.soon)
        let run = try registry.run("move", "frame", "--to", "memfd")
        let who = "attachment \(holder.attached.attachment.rawValue) of client "
        #expect(run.status == 4 && run.errors.contains("the buffer is pinned by \(who)"), "\(run)")
        try holder.client.ask(.unpin(holder.attached.attachment), until: Self.soon)
        let mover = try registry.start("move", "frame", "--to", "memfd", "--within", "10")
        _ = try holder.client.nextNotice(until: Self.soon)
        try holder.client.ask(.refuseMove(holder.attached.attachment, .first), until: Self.soon)
        let refused = try mover.finish()
        #expect(refused.status == 4 && refused.errors.contains("\(who)"), "\(refused)")
        #expect(refused.errors.contains("will not let go"), "\(refused)")
        _ = try registry.stop()
    }

    @Test("Control-C calls it off, and the buffer goes on", arguments: [SignalNumber.interrupt, .terminate, .kill])
    func interrupted(signal: SignalNumber) throws {
        let registry = try shared()
        var holder = try Holder(registry)
        let mover = try registry.start("move", "frame", "--to", "memfd", "--within", "10")
        _ = try holder.client.nextNotice(until: Self.soon)
        try mover.send(signal)
        let run = try mover.finish()
        #expect(run.status == (signal == .kill ? 137 : 1), "\(run)")
        if signal != .kill { #expect(run.errors.contains("it was called off"), "\(run)") }
        guard case .moveAborted = try holder.client.nextNotice(until: Self.soon) else {
            Issue.record("it was not told of the end")
            return
        }
        let ended = try holder.client.ask(.endAccess(holder.attached.attachment), until: Self.soon)
        #expect(ended == .accessEnded(.ok))
        #expect(try registry.run("move", "frame", "--to", "memfd").status == 0)
        _ = try registry.stop()
    }

    @Test("work that does not end in its time calls the move off, or is said to be torn where the late are cut off")
    func torn() throws {
        let registry = try shared()
        let work = try registry.start("fence", "add", "frame", "--read", "--within", "8", "--", "sleep", "60")
        try wait { try registry.run("fence", "list", "frame").output.contains("read") }
        let run = try registry.run("move", "frame", "--to", "memfd")
        #expect(run.status == 124 && run.errors.contains("goes on as it was"), "\(run)")
        // What failed before is not this move's to find.
        #expect(try registry.run("move", "frame", "--to", "memfd").status == 0)
        try work.send(.kill)
        _ = try work.finish()

        // A good write makes good what failed before.
        #expect(try registry.run("fence", "add", "frame", "--write", "--", "true").status == 0)
        #expect(try registry.run("move", "frame", "--to", "memfd", "--json").output.contains(#""work":"ok""#))
        let other = try registry.start("fence", "add", "frame", "--read", "--within", "3", "--", "sleep", "60")
        try wait { try registry.run("fence", "list", "frame").output.contains("read") }
        let cut = try registry.run("move", "frame", "--to", "memfd", "--late", "cut-off", "--json")
        #expect(cut.status == 0 && cut.output.contains(#""work":"error 110""#), "\(cut)")
        try other.send(.kill)
        _ = try other.finish()
        _ = try registry.stop()
    }

    @Test("what cannot be is said")
    func errors() throws {
        let registry = try shared()
        #expect(try registry.run("move", "frame").status == 64)
        #expect(try registry.run("move", "frame", "--to", "nonsense").status == 64)
        #expect(try registry.run("move", "frame", "--to", "heap:nosuch").status == 2)
        let made = try registry.run("share", "made", "--size", "4K", "--allocate", "--from", "memfd", "--keep")
        #expect(made.status == 0, "\(made)")
        let moved = try registry.run("move", "made", "--to", "heap:nosuch")
        let shared = try registry.run("share", "more", "--size", "4K", "--allocate", "--from", "heap:nosuch", "--keep")
        for ended in [moved, shared] { #expect(ended.status == 2 && ended.errors.contains("nosuch"), "\(ended)") }
        #expect(try registry.run("move", "other", "--to", "memfd").status == 4)
        let long = try registry.run("move", "frame", "--to", "memfd", "--within", "60")
        #expect(long.status == 4 && long.errors.contains("at most 10 s"), "\(long)")
        _ = try registry.stop()
    }
}

/// A client that is inside an access to the buffer "frame".
struct Holder: ~Copyable {
    var client: RegistryConnection
    let attached: AttachedBuffer

    init(_ registry: borrowing RunningRegistry, _ access: Access = .readWrite) throws {
        let deadline = Deadline.after(.seconds(10))
        var client = try RegistryConnection(at: registry.socket, until: deadline)
        let attached = try client.attach("frame", AttachTerms(access), until: deadline)
        try client.ask(.beginAccess(attached.attachment, attached.generation, access), until: deadline)
        self.client = client
        self.attached = attached
    }
}
