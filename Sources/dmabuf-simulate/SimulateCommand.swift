// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABufSimulator
import DMABufSystem
import SystemPackage

/// Runs the registry's rules against a random world, and says whether they held.
///
/// The runs are made in a process of their own, which this one watches: a rule that traps ends that one alone, and is
/// reported and shrunk like one that does not hold.
@main
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dmabuf-simulate",
        abstract: "Run the registry's rules against seeded random clients, deaths and delays.")

    @Option(help: "How many runs.")
    var runs = 1000

    @Option(help: "The first run's seed; the same seed gives the same runs.")
    var seed: UInt64 = 1

    @Option(help: "Steps in a run.")
    var steps = 200

    @Option(help: "After how many steps the registry walks over all that it remembers.")
    var walkEvery = 16

    @Option(help: "Where a failing run's scenario is written; else it is printed.")
    var shrinkTo: String?

    @Flag(help: "Say nothing but the last line.")
    var quiet = false

    @Flag(help: .hidden)
    var watched = false

    /// One run, and of its steps only some.
    @Option(help: .hidden)
    var replay: Int?

    @Option(help: .hidden)
    var keeping = ""

    mutating func run() throws {
        let campaign = Campaign(seed: seed, steps: steps, stride: walkEvery)
        if let replay {
            try self.replay(campaign.plan(ofRun: replay))
        } else if watched {
            try run(campaign, reporting: Progress())
        } else {
            try watch(campaign)
        }
    }

    private func run(_ campaign: Campaign, reporting progress: Progress) throws {
        var campaign = campaign
        let clock = ContinuousClock()
        let start = clock.now
        while campaign.runs < runs {
            progress.note(campaign.runs + 1)
            if let failure = campaign.next() {
                try report(failure, campaign.runs)
                printLast(campaign, violations: 1, clock.now - start)
                throw ExitCode(1)
            }
        }
        if !quiet { campaign.tally.lines.forEach { print($0) } }
        let missing = runs >= 1000 ? campaign.tally.missing : []
        for what in missing { print("never reached: \(what)") }
        printLast(campaign, violations: 0, clock.now - start)
        if !missing.isEmpty { throw ExitCode(1) }
    }

    private func printLast(_ campaign: Campaign, violations: Int, _ elapsed: Duration) {
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        let rate = Int(Double(campaign.runs) / max(seconds, 1e-9))
        print(
            "simulate: \(campaign.runs) runs, \(campaign.tally.steps) steps, \(violations) violations, "
                + "\(rate) runs/s, seed \(seed)")
    }

    private func report(_ failure: Campaign.Failure, _ run: Int) throws {
        print("violated in run \(run) (seed \(seed)): \(failure.violation.rule.rawValue): \(failure.violation.text)")
        var shrinker = Shrinker(failure)
        shrinker.shrink()
        try tell(Story(shrinker.plan), shrinker.plan)
    }

    func tell(_ story: Story, _ plan: Plan) throws {
        guard let shrinkTo else { return print(story.text) }
        let file = try FileDescriptor.open(
            FilePath(shrinkTo), .writeOnly, options: [.create, .truncate],
            permissions: [.ownerReadWrite, .groupRead, .otherRead])
        _ = try file.closeAfter { try file.writeAll(story.text.utf8) }
        print("shrunk to \(plan.steps.count) steps: \(shrinkTo)")
    }
}
