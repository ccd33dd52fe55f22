// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// How often everything that can happen did. What never happened was never checked, so a zero is a failure.
package struct Tally: Sendable {
    private var requests = [Int](repeating: 0, count: Request.kinds.count)
    private var answers = [Int](repeating: 0, count: Answer.kinds.count)
    private var refusals = [Int](repeating: 0, count: Refusal.kinds.count)
    private var effects = [Int](repeating: 0, count: Effect.kinds.count)
    private var notices = [Int](repeating: 0, count: Notice.kinds.count)
    private var observations = [Int](repeating: 0, count: Observation.kinds.count)
    private var deaths = [Int](repeating: 0, count: PointOfDeath.allCases.count)
    private var excesses = [Int](repeating: 0, count: Resource.allCases.count)
    private var bounds = [Int](repeating: 0, count: Refusal.Bounded.allCases.count)
    private var aborts = [Int](repeating: 0, count: MoveAbort.kinds.count)
    package var steps = 0
    /// The most grants that a ticket waited for, and how often a younger one overtook.
    package var longestQueue = 0
    package var overtaken = 0

    package init() {}

    /// Both together.
    mutating func add(_ other: Tally) {
        steps += other.steps
        longestQueue = max(longestQueue, other.longestQueue)
        overtaken += other.overtaken
        for index in requests.indices { requests[index] += other.requests[index] }
        for index in answers.indices { answers[index] += other.answers[index] }
        for index in refusals.indices { refusals[index] += other.refusals[index] }
        for index in effects.indices { effects[index] += other.effects[index] }
        for index in notices.indices { notices[index] += other.notices[index] }
        for index in observations.indices { observations[index] += other.observations[index] }
        for index in deaths.indices { deaths[index] += other.deaths[index] }
        for index in excesses.indices { excesses[index] += other.excesses[index] }
        for index in bounds.indices { bounds[index] += other.bounds[index] }
        for index in aborts.indices { aborts[index] += other.aborts[index] }
    }

    mutating func count(_ request: Request) { requests[request.kind] += 1 }
    mutating func count(_ observation: Observation) { observations[observation.kind] += 1 }
    mutating func count(_ point: PointOfDeath) { deaths[point.rawValue] += 1 }

    mutating func count(_ effect: Effect) {
        effects[effect.kind] += 1
        switch effect {
        case .answer(_, _, .refused(let refusal)): count(refusal)
        case .answer(_, _, let answer): answers[answer.kind] += 1
        case .notify(_, let notice): count(notice)
        default: break
        }
    }

    mutating func count(_ refusal: Refusal) {
        answers[Answer.refused(refusal).kind] += 1
        refusals[refusal.kind] += 1
        switch refusal {
        case .overQuota(let excess): excesses[Int(excess.resource.rawValue)] += 1
        case .tooMany(let bounded, _): bounds[Int(bounded.rawValue)] += 1
        default: break
        }
    }

    private mutating func count(_ notice: Notice) {
        notices[notice.kind] += 1
        if case .moveEnded(_, .aborted(let abort)) = notice { aborts[abort.kind] += 1 }
    }

    private var tables: [(title: String, rows: [(String, Int)])] {
        [
            ("request", Array(zip(Request.kinds, requests))),
            ("answer", Array(zip(Answer.kinds, answers))),
            ("refusal", Array(zip(Refusal.kinds, refusals))),
            ("over quota", Array(zip(Resource.allCases.map { "\($0)" }, excesses))),
            ("too many", Array(zip(Refusal.Bounded.allCases.map { "\($0)" }, bounds))),
            ("effect", Array(zip(Effect.kinds, effects))),
            ("notice", Array(zip(Notice.kinds, notices))),
            ("move aborted", Array(zip(MoveAbort.kinds, aborts))),
            ("observation", Array(zip(Observation.kinds, observations))),
            ("death of", Array(zip(PointOfDeath.allCases.map { "\($0)" }, deaths))),
        ]
    }

    /// What was never reached, and is not excused in ``unreachable``.
    package var missing: [String] {
        tables.flatMap { table in
            table.rows.filter { $0.1 == 0 }.map { "\(table.title): \($0.0)" }
        }.filter { Self.unreachable[$0] == nil }
    }

    /// What no sequence of steps can bring about, and why.
    static let unreachable = [
        "over quota: notices":
            "a client over its share of notices asked for nothing that could be refused: it is cut off",
        "refusal: deniedByPolicy": "the policy says so, which is asked before the rules",
        "refusal: overCeiling": "nobody lays a ceiling upon a uid there",
        "effect: kill": "nobody lays a ladder upon a client there",
        "refusal: settling": "a simulated registry is not restarted",
    ]

    package var lines: [String] {
        tables.map { table in
            "\(table.title): " + table.rows.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
        } + [
            "locks: \(overtaken) younger tickets overtook; a ticket waited for at most \(longestQueue) grants, "
                + "and never for more than were before it"
        ]
    }
}
