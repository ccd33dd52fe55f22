// SPDX-License-Identifier: Apache-2.0

/// Many runs, one seed after the other, until one fails.
package struct Campaign: Sendable {
    package struct Failure: Sendable {
        package let plan: Plan
        package let violation: Violation
        package let stride: Int
    }

    package let seed: UInt64
    package let steps: Int
    package let stride: Int
    package private(set) var runs = 0
    package private(set) var tally = Tally()
    private let tampering: Simulation.Tampering?

    package init(seed: UInt64, steps: Int, stride: Int = 1, tampering: Simulation.Tampering? = nil) {
        self.tampering = tampering
        self.seed = seed
        self.steps = steps
        self.stride = stride
    }

    /// What will be done in a run, counted from 1.
    package func plan(ofRun run: Int) -> Plan {
        Plan(seed: RandomWords.mix(RandomWords.mix(seed) &+ UInt64(run - 1)), steps: steps)
    }

    /// The next run; nil if all its rules held.
    package mutating func next() -> Failure? {
        runs += 1
        let plan = plan(ofRun: runs)
        var simulation = Simulation(plan, stride: stride, tampering: tampering)
        do throws(Violation) {
            try simulation.run()
            tally.add(simulation.checker.tally)
            return nil
        } catch {
            return Failure(plan: plan, violation: error, stride: stride)
        }
    }
}
