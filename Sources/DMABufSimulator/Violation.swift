// SPDX-License-Identifier: Apache-2.0

/// A rule that did not hold, and how.
package struct Violation: Error, Sendable {
    package enum Rule: String, CaseIterable, Sendable {
        case answeredOnce = "each request is answered exactly once, in kind"
        case deadHearNothing = "the dead are told nothing and keep nothing"
        case oneGeneration = "one live generation per buffer, one more with each move"
        case noOldGrant = "no descriptor of an old generation, of an ended buffer or of a foreign attachment is passed"
        case rightsHold = "nobody gets what neither its uid, nor a share, nor a token gives"
        case noticeOnce = "no notice is lost or told twice"
        case locksExclude = "a lock excludes, and ends at its end"
        case locksInOrder = "locks are granted in ticket order, as soon as they can be"
        case fencesEnd = "a fence ends once, by its deadline, and with its promiser"
        case waitsEnd = "nobody waits without an end"
        case waitsAreTrue = "a wait tells the truth"
        case accessesHold = "an access is to what is live and was attached for, and a lost one says so"
        case revokesHold = "a revocation reaches what it says, and whom it was meant for"
        case livesAsKept = "a buffer lives as long as it is kept, and no longer"
        case releasedOnce = "memory is released once, when nobody is left"
        case copiesPair = "a copy is started once and ends once"
        case fairShares = "nobody is refused what is in its share"
        case pagesTell = "whoever may begin an access by its page may begin it by asking"
        case ledgersBalance = "ledgers balance, and are zero at the end"
        case consistent = "the registry is consistent in itself"
        case neverTraps = "no step ends the process"
    }

    package var rule: Rule
    package var text: String

    init(_ rule: Rule, _ text: String) {
        self.rule = rule
        self.text = text
    }
}

/// The message costs nothing while all is well.
@inline(__always)
func expect(_ holds: Bool, _ rule: Violation.Rule, _ text: @autoclosure () -> String) throws(Violation) {
    if !holds { throw Violation(rule, text()) }
}
