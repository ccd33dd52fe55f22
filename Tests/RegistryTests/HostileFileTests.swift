// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

/// A file on a FUSE mount whose server leaves every close unanswered. Only the client has it: see there.
@Suite("A file whose close never ends", .leavesNoDescriptor, .requires("root", "fuse", "python3"))
struct HostileFileTests {
    private func client(_ registry: borrowing RunningRegistry, _ more: String...) throws -> Run {
        let script = "\(Package.root)/Tests/Clients/hostile_client.py"
        return try Running(["python3", "-B", script, registry.socket, "65533"] + more).finish()
    }

    @Test("as memory and as a fence it holds up nobody, and who sends many is cut off")
    func cutOff() throws {
        let registry = try RunningRegistry("--mode", "0666")
        try registry.withCanary("a file whose close never ends") {
            let run = try client(registry)
            print(run.output.split(separator: "\n").joined(separator: "; "))
            #expect(run.output.hasPrefix("cut off after 8, reason 11\n"), "\(run.output)\(run.errors)")
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("the registry can end while it is held")
    func end() throws {
        let registry = try RunningRegistry("--mode", "0666")
        let run = try client(registry, "\(registry.processID)")
        print(run.output.split(separator: "\n").joined(separator: "; "))
        #expect(run.output.contains("\nended"), "\(run.output)\(run.errors)")
        #expect(try registry.stop().status == 0)
    }
}
