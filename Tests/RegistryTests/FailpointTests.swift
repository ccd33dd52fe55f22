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
    static func walk(at socket: String, failingAt step: String? = nil) throws -> Running {
        let environment = step.map { ["DMABUF_FAIL_AT": $0] } ?? [:]
        return try Running(
            [path ?? "", "failpoints", "--walk", "--timeout", "5", "--socket", socket], environment: environment)
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
    func client() throws {
        let registry = try RunningRegistry(tool: FailingTool.path ?? "")
        _ = try registry.run("stats")
        var witness = try HandClient(at: registry.socket)
        let buffer = try witness.register(kept: .owner)
        try registry.settle(at: nil)
        let before = registry.openDescriptors()
        var times: [Duration] = []
        let steps = try FailingTool.steps(of: "client")
        #expect(steps.count > 20)
        for step in steps {
            for _ in 0..<FailingTool.rounds {
                let killed = try FailingTool.walk(at: registry.socket, failingAt: step).finish()
                #expect(killed.status == 137, "\(step): \(killed.errors)")
                let death = Deadline.now()
                try registry.settle(at: before)
                times.append(.nanoseconds(Deadline.now().nanoseconds - death.nanoseconds))
                #expect(try witness.allNotices().isEmpty, "\(step)")
                guard case .listed(let all, _) = try witness.ask(.list(from: 0)) else { throw Errno.badMessage }
                #expect(all.map(\.buffer) == [buffer], "\(step)")
            }
        }
        // And it goes on as if nothing had been.
        #expect(try FailingTool.walk(at: registry.socket).finish().status == 0)
        print("killed clients: \(times.count), everything back after \(Self.percentiles(times))")
        #expect(try registry.stop().status == 0)
    }

    @Test("when the registry is killed, nothing that was answered is lost, and clients go on with the next one")
    func registry() throws {
        let steps = try FailingTool.steps(of: "registry")
        #expect(steps.count > 30)
        for step in steps {
            for _ in 0..<FailingTool.rounds { told(step) { try killRegistry(at: step) } }
        }
    }

    private func killRegistry(at step: String) throws {
        let stage = try Stage()
        let first = try stage.serve()
        var witness = try Witness(at: stage.socket)
        try stage.kill(first)
        let doomed = try stage.serve(failingAt: step)
        let walking = try FailingTool.walk(at: stage.socket)
        #expect(try doomed.finish().status == 137, "\(step)")
        let next = try stage.serve()
        // It goes on with the next one, or says why it cannot, and waits for nobody until a deadline.
        let client = try walking.finish()
        #expect([0, 1, 3, 4].contains(client.status), "\(step): \(client.status) \(client.errors)")
        #expect(client.status == 0 || client.errors.hasPrefix("dmabuf-share: "), "\(step): \(client.errors)")
        try wait { try FailingTool.walk(at: stage.socket).finish().status == 0 }
        try witness.goOn(step)
        try stage.end(next, step)
    }

    @Test("when the vault is killed, another takes its place, and nothing that was answered is lost")
    func vault() throws {
        let steps = try FailingTool.steps(of: "vault")
        #expect(steps.count > 10)
        for step in steps {
            for _ in 0..<FailingTool.rounds { told(step) { try killVault(at: step) } }
        }
    }

    private func killVault(at step: String) throws {
        let stage = try Stage()
        let vault = try stage.vault(failingAt: step)
        let first = try stage.serve()
        var witness = try Witness(at: stage.socket)
        try witness.goOn(step)
        if step.hasPrefix("restore"), step.hasSuffix(":2") { return try handOver(stage, vault, first, &witness, step) }
        #expect(try vault.finish().status == 137, "\(step)")
        try stage.waitForVault()
        try stage.kill(first)
        let next = try stage.serve()
        try witness.goOn(step)
        try stage.end(next, step)
    }

    /// Both are dead: what the vault had not handed over is gone, which the next registry says.
    private func handOver(
        _ stage: borrowing Stage, _ vault: consuming Running, _ first: consuming Running, _ witness: inout Witness,
        _ step: String
    ) throws {
        try stage.kill(first)
        let next = try stage.serve()
        #expect(try vault.finish().status == 137, "\(step)")
        try stage.waitForVault()
        if step.hasPrefix("restore-after") {
            try witness.goOn(step)
        } else {
            try witness.hasLost(step)
            witness = try Witness(at: stage.socket)
        }
        try stage.kill(next)
        let last = try stage.serve()
        try witness.goOn(step)
        let log = try stage.end(last, step)
        #expect(log.contains("took over") && log.contains("lost=0"), "\(step): \(log)")
    }

    private func told(_ step: String, _ body: () throws -> Void) {
        do { try body() } catch { Issue.record("\(step): \(error)") }
    }

    private static func percentiles(_ times: [Duration]) -> String {
        let sorted = times.sorted()
        func at(_ share: Double) -> Duration { sorted[Int(Double(sorted.count - 1) * share)] }
        return "p50 \(at(0.5)), p99 \(at(0.99))"
    }
}
