// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("The registry's log", .leavesNoDescriptor)
struct LogTests {
    @Test("a log that nobody reads holds nobody up, and says what was lost when it is read")
    func unread() throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        // Open for reading, too, so that it is never broken.
        let script = """
            #!/bin/sh
            [ -p \(folder)/log ] || mkfifo \(folder)/log
            exec \(Tool.path) "$@" --log debug 2<>\(folder)/log
            """
        let path = "\(folder)/serve"
        let write = "printf '%s' \"$1\" >\"$2\" && chmod 0755 \"$2\""
        #expect(try Running(["sh", "-c", write, "sh", script, path]).finish().status == 0)
        let registry = try RunningRegistry(tool: path)
        try registry.withCanary("a log that nobody reads") {
            // A line for each.
            for _ in 0..<3000 { _ = try HandClient(at: registry.socket) }
        }
        // All that is there, and what comes for a moment.
        func read() throws -> String { try Running(["timeout", "2", "cat", "\(folder)/log"]).finish().output }
        #expect(try read().contains("joined"))
        _ = try HandClient(at: registry.socket)
        let next = try read()
        #expect(next.contains(" lines lost: nobody has read the log\n"), "\(next.prefix(200))")
        print("the first line that is read after those that were lost: \(next.split(separator: "\n").first ?? "")")
        #expect(try registry.stop().status == 0)
    }
}
