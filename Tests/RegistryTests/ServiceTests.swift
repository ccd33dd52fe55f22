// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

@Suite("The registry as a service", .leavesNoDescriptor)
struct ServiceTests {
    private static let activator = "/usr/bin/systemd-socket-activate"
    private static let analyzer = "/usr/bin/systemd-analyze"

    @Test(
        "the first client starts it, at a socket that a service manager made",
        .enabled(if: FileType(at: activator) == .other, "\(activator) is not there"))
    func socketActivation() throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let socket = "\(folder)/registry.sock"
        let manager = try Running([Self.activator, "--seqpacket", "-l", socket, Tool.path, "serve"])
        try wait { FileType(at: socket) == .socket }
        let run = try Tool.run("list", environment: ["DMABUF_SHARE_SOCKET": socket])
        #expect(run.status == 0 && run.output == "no buffers\n", "\(run.errors)")
        try manager.send(.terminate)
        let served = try manager.finish()
        #expect(served.status == 0, "\(served.errors)")
        // What the manager made is the manager's.
        #expect(FileType(at: socket) == .socket)
    }

    @Test(
        "a service manager finds nothing in the units that it does not understand",
        .enabled(if: FileType(at: analyzer) == .other, "\(analyzer) is not there"))
    func units() throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let script = """
            cd \(Package.root)/docs/systemd
            sed 's,^ExecStart=[^ ]*,ExecStart=\(Tool.path),' dmabuf-share.service >\(folder)/dmabuf-share.service
            cp dmabuf-share.socket \(folder)
            exec \(Self.analyzer) verify --man=no \(folder)/dmabuf-share.service \(folder)/dmabuf-share.socket
            """
        let run = try Running(["sh", "-ec", script]).finish()
        // It ends well all the same, and says so in passing. What is wrong with the units of others is theirs.
        #expect(run.status == 0 && !run.errors.contains(folder), "\(run)")
    }

    @Test("doctor says whether it serves")
    func doctor() throws {
        let registry = try RunningRegistry()
        let found = try registry.run("doctor", "--json").output
        #expect(found.contains(#""id":"registry","ok":true"#), "\(found)")
        for part in ["room", "survives", "policy", "counts"] {
            #expect(found.contains(#""id":"registry-\#(part)","ok":true"#), "\(found)")
        }
        _ = try registry.stop()
        let without = try Tool.run("doctor", "--json", environment: ["DMABUF_SHARE_SOCKET": "/tmp/nobody.sock"]).output
        #expect(without.contains(#""id":"registry","ok":false"#), "\(without)")
    }

    @Test("a signal ends it in good order, and its clients are told")
    func stop() throws {
        let registry = try RunningRegistry()
        let watcher = try registry.start("share", "frame", "--from", "memfd", "--size", "4K")
        try wait { try registry.run("show", "frame").status == 0 }
        let run = try registry.stop()
        #expect(run.status == 0 && run.errors.contains("stopping"), "\(run.errors)")
        let told = try watcher.finish()
        #expect(told.status == 1 && told.errors.contains("leaving"), "\(told.errors)")
    }
}
