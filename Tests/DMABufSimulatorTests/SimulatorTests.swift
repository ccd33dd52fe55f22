// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufScenario
import DMABufSimulator
import Testing

@Suite struct SimulatorTests {
    @Test func `the rules hold in a few hundred runs`() {
        var campaign = Campaign(seed: 1, steps: 200, stride: 16)
        while campaign.runs < 200 {
            if let failure = campaign.next() {
                Issue.record(
                    "\(failure.violation.rule.rawValue): \(failure.violation.text)\n\(Story(failure.plan).text)")
                return
            }
        }
        #expect(campaign.tally.steps > 200 * 100)
    }

    @Test func `the same seed gives the same run`() throws {
        let plan = Plan(seed: 7, steps: 200)
        #expect(Story(plan).text == Story(plan).text)
        #expect(Story(plan).text != Story(Plan(seed: 8, steps: 200)).text)
    }

    @Test func `a run that ends the process reads as a scenario up to the step that does`() throws {
        let plan = Plan(seed: 7, steps: 200)
        let whole = try Scenario(Story(plan).text)
        let cut = try Scenario(Story(plan, stoppingBefore: 40).text)
        #expect(cut.entries.map(\.step) == whole.entries.prefix(40).map(\.step))
        #expect(cut.entries.dropLast().map(\.expected) == whole.entries.prefix(39).map(\.expected))
        #expect(cut.entries.last?.expected == [])
    }

    @Test(arguments: Tampering.allCases)
    func `what the rules would never do is found`(_ tampering: Tampering) {
        var campaign = TamperedCampaign(tampering)
        let isCaught = campaign.isCaught(within: 400)
        #expect(isCaught, "\(tampering) was not found")
    }

    @Test func `a failing run shrinks to a few steps, which read as a scenario`() throws {
        var campaign = TamperedCampaign(.dropAnswers)
        let isCaught = campaign.isCaught(within: 400)
        #expect(isCaught)
        var shrinker = Shrinker(try #require(campaign.failure), tampering: campaign.tampering.function)
        shrinker.shrink()
        #expect(shrinker.plan.steps.count <= 10)
        let scenario = try Scenario(Story(shrinker.plan, tampering: campaign.tampering.function).text)
        #expect(scenario.entries.count >= shrinker.plan.steps.count)
    }
}
