// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("The command line, used wrongly", .leavesNoDescriptor)
struct UsageTests {
    @Test func helpNamesEveryCommandAndGivesExamples() throws {
        let help = try Tool.run("--help")
        #expect(help.status == 0)
        for command in [
            "demo", "doctor", "devices", "export", "send", "receive", "inspect", "serve", "share", "list", "show",
            "attach",
            "read", "write", "move", "revoke", "restore", "fence", "lock", "token", "capture", "play",
            "watch", "remove",
        ] {
            #expect(help.output.contains("  \(command) "))
            let own = try Tool.run("help", command)
            #expect(own.status == 0 && own.output.contains("EXAMPLES:"), "\(command)")
        }
        for (command, part) in [
            ("fence", "add"), ("fence", "wait"), ("fence", "list"), ("token", "create"), ("token", "attenuate"),
            ("token", "withdraw"),
        ] {
            let own = try Tool.run("help", command, part)
            #expect(own.status == 0 && own.output.contains("EXAMPLES:"), "\(command) \(part)")
        }
        #expect(!help.output.contains("demo-role"))
        #expect(try Tool.run("--version").status == 0)
    }

    @Test(arguments: [
        ["nonsense"], ["export"], ["export", "--size", "4K"], ["export", "--", "true"],
        ["export", "--size", "0", "--", "true"], ["export", "--size", "-1", "--", "true"],
        ["export", "--size", "99999999999999999999", "--", "true"], ["export", "--size", "16777216T", "--", "true"],
        ["export", "--size", "8Q", "--", "true"], ["export", "--size", "4K", "--image", "1x1:XR24", "--", "true"],
        ["export", "--image", "0x1:XR24", "--", "true"], ["export", "--image", "1x1:????", "--", "true"],
        ["export", "--image", "1x1", "--", "true"], ["export", "--image", "99999x1:XR24", "--", "true"],
        ["export", "--size", "4K", "--name", "a name of far more than 31 bytes", "--", "true"],
        ["export", "--from", "nonsense", "--size", "4K", "--", "true"], ["demo", "--from", "heap"],
        ["demo", "--from", "memfd:x"], ["demo", "--from", "vgem:"], ["demo", "--from", ""],
        ["receive", "--from", "/tmp/none.sock", "--into", "nonsense"], ["receive", "--from", "x", "--into", "drm"],
        ["send", "--size", "4K"], ["receive"], ["receive", "--from", "/tmp/x", "--timeout", "-1"], ["inspect", "x"],
        ["inspect", "-5"], ["inspect", "0"], ["move", "x"], ["move", "x", "--to", "memfd", "--late", "never"],
        ["revoke"], ["restore", "x"],
        ["revoke", "x", "--attachment", "0"], ["fence", "add", "x", "--", "true"], ["fence", "add", "x", "--write"],
        ["lock", "x"], ["lock", "--", "true"], ["token", "create", "x"], ["token", "create", "x", "--rights", ""],
        ["watch", "--every", "0"], ["capture"], ["capture", "--from", "video0", "--share", "x"],
        ["capture", "--from", "v4l2:", "--share", "x"], ["capture", "--from", "v4l2:video0"],
        ["capture", "--from", "v4l2:video0", "--share", "x", "--buffers", "33"],
        ["capture", "--from", "v4l2:video0", "--share", "x", "--frames", "0"], ["play", "x"],
        ["play", "x", "--into", "drm:card0"], ["play", "x", "--into", "v4l2:video1", "--frames", "0"],
    ])
    func usageErrorsEndWith64(arguments: [String]) throws {
        let run = try Running([Tool.path] + arguments).finish()
        #expect(run.status == 64, "\(arguments): \(run.errors)")
        #expect(!run.errors.isEmpty && run.output.isEmpty)
    }

    @Test(arguments: [
        ["export", "--from", "heap:../null", "--size", "4K", "--", "true"],
        ["export", "--from", "memfd", "--size", "4K", "--fill", "/nonexistent", "--", "true"],
        ["send", "--to", "fd:99", "--from", "memfd", "--size", "4K"],
        ["send", "--to", "fd:x", "--from", "memfd", "--size", "4K"],
        ["send", "--to", "fd:0", "--from", "memfd", "--size", "4K"],
        ["receive", "--from", "/nonexistent/x.sock", "--timeout", "0.1"],
        ["receive", "--from", "/etc/passwd", "--timeout", "0.1"],
        ["inspect", "987654321"],
    ])
    func errorsAreExplained(arguments: [String]) throws {
        let run = try Running([Tool.path] + arguments).finish()
        #expect([1, 2].contains(run.status), "\(arguments): \(run.status) \(run.errors)")
        #expect(run.errors.hasPrefix("dmabuf-share: ") && run.output.isEmpty, "\(run.errors)")
    }

    @Test func errorsAreJSONForPrograms() throws {
        let run = try Tool.run("export", "--json", "--from", "heap:nosuch", "--size", "4K", "--", "true")
        #expect(run.status == 2)
        #expect(run.errors.hasPrefix(#"{"error":{"code":"unavailable","message":"#), "\(run.errors)")
        #expect(run.errors.hasSuffix(#""schema":1}"# + "\n"))
    }

    @Test func aReaderThatHasGoneIsNoCrash() throws {
        let run = try Running(["sh", "-c", "\(Tool.path) devices | true; \(Tool.path) demo --from memfd | head -1"])
            .finish()
        #expect(run.errors.isEmpty, "\(run.errors)")
    }

    @Test func completionsAreGenerated() throws {
        for shell in ["bash", "zsh", "fish"] {
            let run = try Tool.run("--generate-completion-script", shell)
            #expect(run.status == 0 && run.output.contains("receive"))
        }
    }
}
