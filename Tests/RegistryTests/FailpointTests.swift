// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// The build that can be made to die, which `make failpoints` makes and names in the environment.
enum FailingTool {
    static let path = OwnProcess.environment("DMABUF_SHARE_FAILING_TOOL")
    /// How often each step.
    static let rounds = OwnProcess.environment("DMABUF_SHARE_ROUNDS").flatMap { Int($0) } ?? 1

    /// How often a walk comes by those that it comes by more than once.
    private static let times: [Substring: Int] = [
        "attach": 2, "fence": 3, "lock": 2, "move": 2, "journal": 6, "vault": 2,
    ]

    static func steps(of role: String) throws -> [String] {
        let lines = try Running([path ?? "", "failpoints"]).finish().output.split(separator: "\n")
        return lines.map { $0.split(separator: "\t") }.filter { $0[0] == role }.flatMap { line in
            let name = line[1].prefix { $0 != "-" }
            // A vault is adopted empty, and then with what it holds.
            let count = role == "vault" && name == "restore" ? 2 : times[name] ?? 1
            return (1...count).map { "\(line[1]):\($0)" }
        }
    }

    static func serve(at socket: String, failingAt step: String? = nil) throws -> Running {
        let environment = step.map { ["DMABUF_FAIL_AT": $0] } ?? [:]
        return try Running([path ?? "", "serve", "--socket", socket], environment: environment)
    }

    /// A client that takes every step, by itself.
    static func walk(at socket: String, from exporter: String, failingAt step: String? = nil) throws -> Running {
        let environment = step.map { ["DMABUF_FAIL_AT": $0] } ?? [:]
        return try Running(
            [path ?? "", "failpoints", "--walk", "--from", exporter, "--timeout", "30", "--socket", socket],
            environment: environment)
    }
}

@Suite("Who is not built to die")
struct NoFailpointTests {
    @Test("has no failpoints")
    func absent() throws {
        #expect(try Running(["grep", "-q", "DMABUF_FAIL_AT", Tool.path]).finish().status == 1)
        #expect(try Tool.run("failpoints").status == 64)
    }
}

/// SIGKILL at every step, of a client and of the registry. A step that nobody comes by fails.
@Suite(
    "Killed at each step", .leavesNoDescriptor, .enabled(if: FailingTool.path != nil, "it takes `make failpoints`"))
struct FailpointTests {
    @Test("a client that is killed leaves nothing, and nobody else notices")
    func client() throws { try KilledSteps(exporter: "memfd").killClients() }

    @Test("when the registry is killed, nothing that was answered is lost, and clients go on with the next one")
    func registry() throws { try KilledSteps(exporter: "memfd").killRegistries() }

    @Test("when the vault is killed, another takes its place, and nothing that was answered is lost")
    func vault() throws { try KilledSteps(exporter: "memfd").killVaults() }
}
