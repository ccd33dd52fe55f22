// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

@Suite("watch", .leavesNoDescriptor)
struct WatchCommandTests {
    private func attachments(_ registry: borrowing RunningRegistry, _ count: Int) throws {
        try wait { try registry.run("show", "frame", "--json").output.contains(#""attachments":\#(count)"#) }
    }

    /// It has mapped the new memory once nothing is left of the old.
    private func followed(_ registry: borrowing RunningRegistry) throws {
        try wait { try !registry.run("show", "frame").output.contains("quarantine") }
    }

    @Test("it lets go when asked, follows a move, maps what is restored, and keeps nobody waiting")
    func goodHolder() throws {
        let registry = try RunningRegistry()
        let owner = try registry.start("share", "frame", "--from", "memfd", "--size", "8K")
        try attachments(registry, 0)
        let watcher = try registry.start("watch", "frame")
        try attachments(registry, 1)
        #expect(try registry.run("move", "frame", "--to", "memfd").status == 0)
        try followed(registry)
        let revoked = try registry.run("revoke", "frame", "--within", "5")
        #expect(revoked.output.hasPrefix("cooperative"), "\(revoked)")
        let attachment = try #require(
            try registry.run("show", "frame").output.split(separator: "attachments  ").last?.split(separator: " ").first
        )
        #expect(try registry.run("restore", "frame", "--attachment", String(attachment)).status == 0)
        try owner.send(.terminate)
        #expect(try owner.finish().status == 0)
        // Its owner is gone: nothing keeps it but the watcher, which leaves it.
        let run = try watcher.finish()
        #expect(
            run.output == """
                frame: attached, generation 1
                frame: is about to move away from generation 1
                frame: has moved: generation 2
                frame: mapped, generation 2
                frame: is asked back
                frame: may be mapped again
                frame: mapped, generation 2
                frame: its owner is gone

                """, "\(run)")
        #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
        try wait { try registry.run("list").output == "no buffers\n" }
        _ = try registry.stop()
    }

    @Test("a signal ends it with 0; JSON is a line each", arguments: [SignalNumber.interrupt, .terminate])
    func json(signal: SignalNumber) throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--from", "memfd", "--size", "8K", "--keep").status == 0)
        let watcher = try registry.start("watch", "frame", "--json")
        try attachments(registry, 1)
        #expect(try registry.run("move", "frame", "--to", "memfd").status == 0)
        try followed(registry)
        try watcher.send(signal)
        let run = try watcher.finish()
        #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
        let events = run.output.split(separator: "\n").map { line in
            line.split(separator: "\"event\":\"").last?.prefix { $0 != "\"" } ?? ""
        }
        #expect(events == ["attached", "moving", "moved", "mapped"])
        #expect(run.output.split(separator: "\n").allSatisfy { $0.hasSuffix(#""schema":1}"#) }, "\(run)")
        _ = try registry.stop()
    }

    @Test("the registry's end is an error")
    func registryEnds() throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--from", "memfd", "--size", "8K", "--keep").status == 0)
        let named = try registry.start("watch", "frame")
        let list = try registry.start("watch", "--every", "600")
        try attachments(registry, 1)
        Clock.sleep(.seconds(1))
        _ = try registry.stop()
        for run in [try named.finish(), try list.finish()] { #expect(run.status == 1 && !run.errors.isEmpty, "\(run)") }
    }

    @Test("without names it tells how the list changes")
    func list() throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--from", "memfd", "--size", "8K", "--keep").status == 0)
        let watcher = try registry.start("watch", "--every", "0.02")
        Clock.sleep(.seconds(1))
        #expect(try registry.run("move", "frame", "--to", "memfd").status == 0)
        Clock.sleep(.seconds(1))
        #expect(try registry.run("remove", "frame").status == 0)
        Clock.sleep(.seconds(1))
        try watcher.send(.interrupt)
        let run = try watcher.finish()
        #expect(run.status == 0 && run.output.hasPrefix("added \"frame\": 8 KiB, generation 1, 0 attached\n"), "\(run)")
        #expect(run.output.contains("changed \"frame\": 8 KiB, generation 2, 0 attached\n"), "\(run)")
        #expect(run.output.hasSuffix("removed \"frame\": 8 KiB, generation 2, 0 attached\n"), "\(run)")
        _ = try registry.stop()
    }
}
