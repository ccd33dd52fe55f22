// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABufSimulator
import DMABufSystem
import SystemPackage

/// Traps: what ends a process instead of throwing.
extension SimulateCommand {
    /// Makes the runs in a process of their own, and says in which run it trapped if it did.
    func watch(_ campaign: Campaign) throws {
        let arguments = OwnProcess.arguments.dropFirst() + ["--watched"]
        let (ending, run) = try WatchedProcess.run(Array(arguments))
        guard ending.isTrap else { throw ExitCode(ending.status) }
        print("run \(run) (seed \(seed)) trapped with signal \(ending.status - 128)")
        try shrink(campaign.plan(ofRun: run), ofRun: run)
        print("simulate: \(run) runs, 1 trap, seed \(seed)")
        throw ExitCode(1)
    }

    /// Each attempt is a process too.
    private func shrink(_ plan: Plan, ofRun run: Int) throws {
        var shrinker = Shrinker(plan) { fatalStep(of: $0, ofRun: run) != nil }
        shrinker.shrink()
        guard let step = fatalStep(of: shrinker.plan, ofRun: run) else { return print("it does not trap again") }
        try tell(Story(shrinker.plan, stoppingBefore: step), shrinker.plan)
    }

    private func fatalStep(of plan: Plan, ofRun run: Int) -> Int? {
        let kept = plan.steps.map { "\($0.index)" }.joined(separator: ",")
        let arguments = [
            "--seed", "\(seed)", "--steps", "\(steps)", "--walk-every", "\(walkEvery)", "--replay", "\(run)",
            "--keeping", kept,
        ]
        guard let (ending, step) = try? WatchedProcess.run(CommandWord.words(arguments), isSilent: true),
            ending.isTrap
        else { return nil }
        return step
    }

    /// In the process that is watched.
    func replay(_ plan: Plan) throws {
        let indices = Set(keeping.split(separator: ",").compactMap { Int($0) })
        let progress = Progress()
        var simulation = Simulation(plan.keeping(indices), stride: walkEvery, watching: { progress.note($0) })
        // Whether the rules hold was asked before.
        do throws(Violation) { try simulation.run() } catch {}
    }
}

extension ChildProcess.Ending {
    /// SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE or SIGSEGV: its own doing.
    var isTrap: Bool {
        if case .killed(let signal) = self { [4, 5, 6, 7, 8, 11].contains(signal) } else { false }
    }
}
