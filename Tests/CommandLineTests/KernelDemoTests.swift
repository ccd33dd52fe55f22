// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("The demo", .leavesNoDescriptor)
struct KernelDemoTests {
    @Test(arguments: Backends.exporters)
    func everyExporterTellsTheWholeStory(name: String) throws {
        let run = try Tool.run("demo", "--from", name)
        #expect(run.status == 0, "\(run.output)\(run.errors)")
        #expect(!run.output.contains("  failed "))
        for step in [
            "export", "pass", "receive", "fence pending", "write", "fence  ", "read", "kill", "survive", "end",
            "allocate", "attach", "move vetoed", "hold", "move", "let go", "follow", "fenced hand-over",
            "kill importer", "kill owner", "survive owner", "kill registry", "survive registry",
        ] {
            #expect(run.output.contains("  ok      \(step) "), "\(step)")
        }
        let closing = run.output.split(separator: "\n").last ?? ""
        #expect(closing.contains("steps verified in"))
        #expect(closing.contains(name == "memfd" ? "the stand-in (memfd)" : "real dma-bufs of \(name)"))
    }

    @Test func requireRealIsTheTruth() throws {
        let run = try Tool.run("demo", "--require-real", "--json")
        #expect(run.status == (Backends.realExporters.isEmpty ? 2 : 0))
        if run.status == 0 { #expect(run.output.contains(#""real":true"#)) }
    }

    @Test func anExporterThatIsNotThereIsTwo() throws {
        #expect(try Tool.run("demo", "--from", "heap:nosuch").status == 2)
        #expect(try Tool.run("demo", "--from", "dumb:card987").status == 2)
    }

    @Test func doctorTellsTheTruth() throws {
        let run = try Tool.run("doctor", "--json")
        #expect(run.status == (Backends.realExporters.isEmpty ? 2 : 0))
        #expect(run.output.contains(Backends.realExporters.isEmpty ? #""real":false"# : #""real":true"#))
    }
}
