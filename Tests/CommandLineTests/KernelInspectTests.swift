// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

/// `inspect` on real buffers, whatever their holders called them.
@Suite("inspect", .leavesNoDescriptor)
struct KernelInspectTests {
    /// Runs a shell script as the holder of a vgem buffer on descriptor 3, with `$TOOL` and `$ME` set.
    private func held(_ script: String, name: String = "plain") throws -> Run {
        try Running(
            [Tool.path, "export", "--from", "vgem", "--size", "64K", "--name", name, "--", "sh", "-c", script],
            environment: ["TOOL": Tool.path]
        ).finish()
    }

    @Test(.requires("vgem")) func aHolderIsNamed() throws {
        let run = try held(
            "exec python3 -c 'import os, subprocess; print(os.getpid()); print(subprocess.run([os.environ[\"TOOL\"], \"inspect\", str(os.getpid()), \"--json\"], capture_output=True, text=True).stdout)'"
        )
        let lines = run.output.split(separator: "\n")
        let process = try #require(lines.first)
        let json = try #require(lines.last)
        #expect(
            json.contains(#""holders":[{"command":"python3","fds":[3],"mappings":0,"pid":\#(process)}]"#), "\(json)")
        #expect(
            json.contains(#""name":"plain""#) && json.contains(#""size":65536"#)
                && json.contains(#""total_bytes":65536"#))
    }

    @Test(
        .requires("vgem"), arguments: ["x\ncount:\t99", "\u{1b}[2J\u{7}", "a b\texp_name:\tz", "\"quote\\", "count:"])
    func aNameFoolsNobody(name: String) throws {
        let table = try held("exec $TOOL inspect $$", name: name)
        #expect(table.status == 0)
        let lines = table.output.split(separator: "\n")
        #expect(lines.count == 3, "one header, one buffer, one total: \(table.output)")
        #expect(!table.output.unicodeScalars.contains { $0.value == 0x1b || $0.value == 7 })
        #expect(lines[1].contains("drm"))
        #expect(!lines[1].contains("  99  "))
        #expect(lines[1].split(separator: "\"").count >= 3, "the name is in quotation marks")
        let json = try held(
            "$TOOL inspect $$ --json | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"buffers\"][0][\"name\"] == sys.argv[1])' \"$NAME\""
                .replacing("$NAME", with: "$(printf %b \(escaped(name)))"), name: name)
        #expect(json.output == "True\n", "\(json.output) \(json.errors)")
    }

    /// A mapping keeps the memory when every descriptor is closed.
    @Test(.requires("vgem", "root")) func aMappingAloneIsAHolder() throws {
        let script = """
            import mmap, os, subprocess
            view = mmap.mmap(3, 65536)
            for number in range(3, 64):
                try: os.close(number)
                except OSError: pass
            print(subprocess.run([os.environ["TOOL"], "inspect", str(os.getpid()), "--json"], capture_output=True, text=True).stdout)
            """
        let run = try Running(
            [Tool.path, "export", "--from", "vgem", "--size", "64K", "--", "python3", "-c", script],
            environment: ["TOOL": Tool.path]
        ).finish()
        #expect(run.output.contains(#""fds":[],"mappings":1"#), "\(run.output)\(run.errors)")
        #expect(run.output.contains(#""size":65536"#) && run.output.contains(#""count":null"#), "\(run.output)")
    }

    @Test(.requires("root")) func aFileThatIsCalledLikeABufferIsNone() throws {
        let script = "exec 3>/dmabuf:x; exec \(Tool.path) inspect $$ --json"
        let run = try Running(["sh", "-c", script]).finish()
        try FileType.remove("/dmabuf:x")
        #expect(run.output.hasPrefix(#"{"buffers":[],"#), "\(run.output)")
    }

    @Test(.requires("root")) func othersAreCountedAndNotShown() throws {
        let run = try Running(["setpriv", "--reuid", "65534", "--clear-groups", Tool.path, "inspect", "--json"])
            .finish()
        #expect(run.status == 0, "\(run.errors)")
        #expect(!run.output.contains(#""unreadable_processes":0}"#))
        let one = try Running(["setpriv", "--reuid", "65534", "--clear-groups", Tool.path, "inspect", "1"]).finish()
        #expect(one.status == 2 && one.errors.contains("ermission denied"), "\(one.errors)")
    }

    private func escaped(_ text: String) -> String {
        "'" + text.utf8.map { "\\0" + String($0, radix: 8) }.joined() + "'"
    }
}

@Suite("Between processes on real dma-bufs", .leavesNoDescriptor)
struct KernelProcessTests {
    private let socket = "/tmp/dmabuf-share-\(OwnProcess.processID)-\(Deadline.now().nanoseconds).sock"

    private func exchange(_ exporter: String, _ receive: [String]) throws -> (sender: Run, receiver: Run) {
        let sender = try Tool.start(
            "send", "--to", socket, "--from", exporter, "--image", "640x480:XR24", "--fill", "pattern", "--json")
        let receiver = try Running([Tool.path, "receive", "--from", socket, "--json"] + receive).finish()
        return (try sender.finish(), receiver)
    }

    @Test(arguments: Backends.exporters) func everyExporterReachesAnotherProcess(name: String) throws {
        let (sender, receiver) = try exchange(name, ["--verify"])
        #expect(sender.status == 0 && receiver.status == 0, "\(sender.errors)\(receiver.errors)")
        let inodes = [sender, receiver].map { $0.output.split(separator: #""inodes":"#).last?.prefix { $0 != "]" } }
        #expect(inodes[0] == inodes[1] && inodes[0] != nil)
    }

    @Test(.requires("dumb:card0", "vgem")) func theReceiverImportsIntoADevice() throws {
        let (_, receiver) = try exchange("vgem", ["--verify", "--into", "drm:/dev/dri/card0"])
        #expect(receiver.status == 0 && receiver.output.contains(#""importer":"drm:card0""#), "\(receiver.errors)")
    }

    @Test(.requires("dumb:card2", "vgem")) func whatADeviceExcludesIsARefusal() throws {
        let (sender, receiver) = try exchange("vgem", ["--into", "drm:card2"])
        #expect(sender.status == 4 && sender.errors.contains("blob resources"), "\(sender.errors)")
        #expect(receiver.status == 4 && receiver.errors.contains("blob resources"), "\(receiver.errors)")
    }

    @Test(.requires("vgem")) func aStandInIntoADeviceIsARefusal() throws {
        let (_, receiver) = try exchange("memfd", ["--into", "drm:card1"])
        #expect(receiver.status == 4, "a memfd into a device: \(receiver.errors)")
    }

    /// A file of a hostile FUSE server never ends its `close`; the receiver does not wait for it, nor do its streams.
    @Test(.requires("root", "vgem")) func aFileThatNeverClosesHoldsNobody() throws {
        let run = try Running([
            "python3", "\(Package.root)/Tests/Clients/hostile_file.py", Tool.path, "receive", "--from", "fd:3",
            "--timeout", "10",
        ]).finish()
        #expect(run.output.contains("something else"), "\(run.output)\(run.errors)")
        #expect(run.output.contains("status 1 with 1 close held"), "\(run.output)\(run.errors)")
    }
}
