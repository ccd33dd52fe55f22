// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

@Suite("export -- COMMAND", .leavesNoDescriptor)
struct ExportTests {
    private func export(_ options: [String], _ script: String, environment: [String: String] = [:]) throws -> Run {
        try Running(
            [Tool.path, "export", "--from", "memfd"] + options + ["--", "sh", "-c", script], environment: environment
        )
        .finish()
    }

    @Test func theStatusIsTheCommands() throws {
        #expect(try export(["--size", "4K"], "exit 0").status == 0)
        #expect(try export(["--size", "4K"], "exit 7").status == 7)
        #expect(try export(["--size", "4K"], "kill -9 $$").status == 137)
        #expect(try Tool.run("export", "--from", "memfd", "--size", "4K", "--", "/nonexistent").status == 127)
        #expect(try Tool.run("export", "--from", "memfd", "--size", "4K", "--", "/etc/passwd").status == 126)
    }

    @Test func bytesAreDescribed() throws {
        let run = try export(
            ["--size", "5000", "--name", "frame"],
            "env | grep ^DMABUF_ | sort; ls -l /proc/self/fd | grep -c memfd",
            environment: ["DMABUF_PLANES": "stale", "DMABUF_FENCE_FDS": "9"])
        let lines = run.output.split(separator: "\n").map(String.init)
        #expect(
            lines.filter { $0.hasPrefix("DMABUF") } == [
                "DMABUF_FDS=3", "DMABUF_KIND=memfd", "DMABUF_NAME=frame", "DMABUF_SIZES=8192",
            ])
        #expect(lines.last == "1", "nothing else of the tool's is inherited")
    }

    @Test func imagesAreDescribed() throws {
        let run = try export(["--image", "64x32:NV12"], "env | grep ^DMABUF_ | sort")
        #expect(
            run.output == """
                DMABUF_FDS=3
                DMABUF_FOURCC=NV12
                DMABUF_HEIGHT=32
                DMABUF_KIND=memfd
                DMABUF_MODIFIER=0x0
                DMABUF_PLANES=3:0:256 3:8192:256
                DMABUF_SIZES=12288
                DMABUF_WIDTH=64

                """)
    }

    @Test func thePatternAndFilesAreFilledIn() throws {
        let pattern = try export(["--size", "4096", "--fill", "pattern"], "od -An -tu1 -N4 /proc/self/fd/3")
        #expect(pattern.output.split(separator: " ").prefix(4).map { $0.trimmingNewlines } == ["7", "38", "69", "100"])
        let file = try export(
            ["--size", "4096", "--fill", "/etc/debian_version"],
            "head -c $(stat -c %s /etc/debian_version) <&3 | cmp - /etc/debian_version")
        #expect(file.status == 0, "\(file.errors)")
        let tooLarge = try Running(
            [
                "sh", "-c",
                "head -c 4097 /dev/zero >$TMP/f; exec \(Tool.path) export --from memfd --size 4096 --fill $TMP/f -- true",
            ], environment: ["TMP": "/tmp"]
        ).finish()
        #expect(tooLarge.status == 1 && tooLarge.errors.contains("larger than the buffer"), "\(tooLarge.errors)")
    }

    @Test func signalsArePassedOn() throws {
        let running = try Running([Tool.path, "export", "--from", "memfd", "--size", "4K", "--", "sleep", "60"])
        Clock.sleep(.milliseconds(300))
        try running.send(.terminate)
        #expect(try running.finish().status == 143)
    }
}

extension Substring {
    fileprivate var trimmingNewlines: String { String(filter { !$0.isNewline }) }
}
