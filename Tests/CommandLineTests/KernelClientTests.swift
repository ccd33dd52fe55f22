// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

/// Programs in C and Python, written against PROTOCOL.md alone, at the other end of the tool.
@Suite("Programs of others", .leavesNoDescriptor)
struct KernelClientTests {
    private let socket = "/tmp/dmabuf-share-\(OwnProcess.processID)-\(Deadline.now().nanoseconds).sock"

    enum Language: String, CaseIterable, CustomTestStringConvertible {
        case c, python
        var testDescription: String { rawValue }

        /// The command that runs a client.
        func command(_ name: String) throws -> [String] {
            self == .c ? ["\(try Self.compiled.get())/\(name)"] : ["python3", "\(Self.folder)/\(name).py"]
        }

        private static let folder = "\(Package.root)/Tests/Clients"

        /// The C ones, compiled once, beside the tool.
        private static let compiled = Result {
            let folder = Tool.path + "-clients"
            try? Folder.create(folder)
            for name in ["passing", "environment"] {
                let compile = try Running([
                    "cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-o", "\(folder)/\(name)",
                    "\(Self.folder)/\(name).c",
                ]).finish()
                guard compile.status == 0 else { throw CompileError(text: compile.errors) }
            }
            return folder
        }
    }

    struct CompileError: Error { let text: String }

    /// Each start of a client is dear under emulation: the stand-in, a driver's memory and a heap's will do.
    private static let exporters = Backends.exporters.filter { ["memfd", "vgem", "heap:system"].contains($0) }

    @Test(arguments: Language.allCases) func aClientTakesWhatTheToolSends(language: Language) throws {
        for exporter in Self.exporters {
            let sender = try Tool.start(
                "send", "--to", socket, "--from", exporter, "--image", "64x48:XR24", "--fill", "pattern")
            let taken = try Running(language.command("passing") + ["take", socket]).finish()
            #expect(taken.status == 0, "\(exporter): \(taken.output)\(taken.errors)")
            #expect(try sender.finish().status == 0)
        }
    }

    @Test(arguments: Language.allCases, [["--bytes", "70000"], ["--image", "33x17:XR24"]])
    func theToolTakesWhatAClientOffers(language: Language, what: [String]) throws {
        let offering = try Running(language.command("passing") + ["offer", socket] + what)
        let received = try Tool.run("receive", "--from", socket, "--verify")
        #expect(received.status == 0, "\(received.errors)")
        let offered = try offering.finish()
        #expect(offered.status == 0, "\(offered.output)\(offered.errors)")
    }

    @Test(arguments: Language.allCases) func aCommandReadsItsEnvironment(language: Language) throws {
        let command = try language.command("environment")
        for exporter in Self.exporters {
            for what in [["--size", "64K"], ["--image", "64x48:NV12"]] {
                let run = try Running(
                    [Tool.path, "export", "--from", exporter, "--fill", "pattern"] + what + ["--"] + command
                ).finish()
                #expect(run.status == 0, "\(exporter) \(what): \(run.output)\(run.errors)")
                #expect(!run.output.isEmpty)
            }
        }
    }
}
