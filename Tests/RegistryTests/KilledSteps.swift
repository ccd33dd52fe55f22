// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// One after the other, with buffers of one exporter.
struct KilledSteps {
    let exporter: String
    /// Of those that have nothing to do with this.
    private let dmaBufs: Int

    init(exporter: String) {
        self.exporter = exporter
        // What a test before this has let go of goes in its own time.
        let end = Deadline.after(.seconds(10))
        while Machine.dmaBufCount > 0, !end.hasPassed { Clock.sleep(.milliseconds(50)) }
        dmaBufs = Machine.dmaBufCount
    }

    func killClients() throws {
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
                let killed = try FailingTool.walk(at: registry.socket, from: exporter, failingAt: step).finish()
                #expect(killed.status == 137, "\(step): \(killed.errors)")
                let death = Deadline.now()
                try registry.settle(at: before)
                times.append(.nanoseconds(Deadline.now().nanoseconds - death.nanoseconds))
                try checkMemory(step)
                #expect(try witness.allNotices().isEmpty, "\(step)")
                guard case .listed(let all, _) = try witness.ask(.list(from: 0)) else { throw Errno.badMessage }
                #expect(all.map(\.buffer) == [buffer], "\(step)")
            }
        }
        // And it goes on as if nothing had been.
        #expect(try FailingTool.walk(at: registry.socket, from: exporter).finish().status == 0)
        print("killed clients (\(exporter)): \(times.count), everything back after \(Self.percentiles(times))")
        #expect(try registry.stop().status == 0)
    }

    /// The memory of whoever is gone is.
    private func checkMemory(_ step: String) throws {
        try wait(within: .seconds(20)) { Machine.dmaBufCount == dmaBufs }
        #expect(Machine.dmaBufCount == dmaBufs, "\(step): a buffer is left")
    }

    /// At every step, or at one of so many.
    func killRegistries(oneOf part: Int = 1) throws {
        let steps = try FailingTool.steps(of: "registry")
        #expect(steps.count > 30)
        for (index, step) in steps.enumerated() where index % part == 0 {
            for _ in 0..<FailingTool.rounds { told(step) { try killRegistry(at: step) } }
        }
    }

    private func killRegistry(at step: String) throws {
        let stage = try Stage()
        let first = try stage.serve()
        var witness: Witness? = try Witness(at: stage.socket, from: exporter)
        try stage.kill(first)
        let doomed = try stage.serve(failingAt: step)
        let walking = try FailingTool.walk(at: stage.socket, from: exporter)
        #expect(try doomed.finish().status == 137, "\(step)")
        let next = try stage.serve()
        try witness?.comeBack()
        // It goes on with the next one, or says why it cannot, and waits for nobody until a deadline.
        let client = try walking.finish()
        #expect([0, 1, 3, 4].contains(client.status), "\(step): \(client.status) \(client.errors)")
        #expect(client.status == 0 || client.errors.hasPrefix("dmabuf-share: "), "\(step): \(client.errors)")
        try wait { try FailingTool.walk(at: stage.socket, from: exporter).finish().status == 0 }
        try witness?.goOn(step)
        try stage.end(next, step)
        witness = nil
        try checkMemory(step)
    }

    func killVaults() throws {
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
        var witness = try Witness(at: stage.socket, from: exporter)
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
            witness = try Witness(at: stage.socket, from: exporter)
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
