// SPDX-License-Identifier: Apache-2.0

/// Delta debugging: takes steps out of a failing run, in ever smaller pieces, as long as it fails in the same way.
package struct Shrinker {
    package private(set) var plan: Plan
    private let fails: (Plan) -> Bool

    package init(_ plan: Plan, while fails: @escaping (Plan) -> Bool) {
        self.plan = plan
        self.fails = fails
    }

    /// As long as it breaks the same rule.
    package init(_ failure: Campaign.Failure, tampering: Simulation.Tampering? = nil) {
        self.init(failure.plan) { plan in
            // To the step, where the registry walks at all.
            var simulation = Simulation(plan, stride: min(1, failure.stride), tampering: tampering)
            do throws(Violation) {
                try simulation.run()
                return false
            } catch {
                return error.rule == failure.violation.rule
            }
        }
    }

    package mutating func shrink() {
        var size = max(1, plan.steps.count / 2)
        while size > 0 {
            // A piece that could go makes others superfluous, so the same size is tried again.
            if !removePieces(of: size) { size /= 2 }
        }
    }

    private mutating func removePieces(of size: Int) -> Bool {
        var hasShrunk = false
        var start = plan.steps.count
        while start > 0 {
            start = max(0, start - size)
            var smaller = plan
            smaller.steps.removeSubrange(start..<min(start + size, plan.steps.count))
            guard fails(smaller) else { continue }
            plan = smaller
            hasShrunk = true
        }
        return hasShrunk
    }
}
