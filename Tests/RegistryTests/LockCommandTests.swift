// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

@Suite("lock", .leavesNoDescriptor)
struct LockCommandTests {
    private func shared() throws -> RunningRegistry {
        let registry = try RunningRegistry()
        for name in ["left", "right"] {
            #expect(try registry.run("share", name, "--from", "memfd", "--size", "8K", "--keep").status == 0)
        }
        return registry
    }

    @Test("while it is held nobody else locks, adds work or moves; then all may")
    func held() throws {
        let registry = try shared()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let script = "echo $DMABUF_LOCK >\(folder)/n; while ! [ -e \(folder)/go ]; do sleep 0.01; done; exit 3"
        let holder = try registry.start("lock", "left", "right", "left", "--", "sh", "-c", script)
        try wait { Sysfs.integer("\(folder)/n") != nil }
        let number = try #require(Sysfs.integer("\(folder)/n"))
        #expect(try registry.run("show", "right").output.contains("locked"))
        let other = try registry.run("lock", "right", "--within", "0.1", "--", "true")
        #expect(other.status == 124 && other.errors.contains("lock \(number) was in the way"), "\(other)")
        let moved = try registry.run("move", "left", "--to", "memfd")
        #expect(moved.status == 4 && moved.errors.contains("locked (lock \(number))"), "\(moved)")
        let fence = try registry.run("fence", "add", "left", "--write", "--", "true")
        #expect(fence.status == 4 && fence.errors.contains("locked"), "\(fence)")
        try Descriptor.open("\(folder)/go", .create).write("")
        let run = try holder.finish()
        #expect(run.status == 3 && run.errors.isEmpty, "\(run)")
        #expect(try registry.run("lock", "right", "left", "--", "true").status == 0)
        _ = try registry.stop()
    }

    @Test("a lock that ends before its command does is told")
    func early() throws {
        let registry = try shared()
        let run = try registry.run("lock", "left", "--lasting", "0.1", "--", "sleep", "3")
        #expect(run.status == 0 && run.errors.contains("is over before the command is"), "\(run)")
        _ = try registry.stop()
    }

    @Test("a lock ends with the registry that gave it, and that is told")
    func restarted() throws {
        var registry = try shared()
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let script = "echo $DMABUF_LOCK >\(folder)/n; while ! [ -e \(folder)/go ]; do sleep 0.01; done"
        let holder = try registry.start("lock", "left", "--", "sh", "-c", script)
        try wait { Sysfs.integer("\(folder)/n") != nil }
        try registry.restart()
        // Nobody has it any more, once its holder has said where it stands.
        try wait { try registry.run("lock", "left", "--within", "0.5", "--", "true").status == 0 }
        try Descriptor.open("\(folder)/go", .create).write("")
        let run = try holder.finish()
        #expect(run.status == 0 && run.errors.contains("is over before the command is"), "\(run)")
        _ = try registry.stop()
    }

    @Test("its holder's death releases it")
    func death() throws {
        let registry = try shared()
        let holder = try registry.start("lock", "left", "--", "sleep", "5")
        try wait { try registry.run("show", "left").output.contains("locked") }
        try holder.send(.kill)
        _ = try holder.finish()
        #expect(try registry.run("lock", "left", "--", "true").status == 0)
        #expect(try registry.run("lock", "--", "true").status == 64)
        #expect(try registry.run("lock", "left").status == 64)
        #expect(try registry.run("lock", "other", "--", "true").status == 4)
        _ = try registry.stop()
    }
}
