// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSimulator

/// Ways in which the effects could be wrong, put between the rules and the checks.
enum Tampering: CaseIterable {
    case dropAnswers
    case doubleAnswers
    case dropMoveEnds
    case doubleNotices
    case oldDescriptors
    case dropDescriptors
    case releaseTwice
    case grantForeignLocks
    case dropDrops

    var function: Simulation.Tampering {
        { [self] _, effects in effects.flatMap { self.tampered($0) } }
    }

    private func tampered(_ effect: Effect) -> [Effect] {
        switch (self, effect) {
        case (.dropAnswers, .answer(_, _, .attached)): []
        case (.doubleAnswers, .answer(_, _, .done)): [effect, effect]
        case (.dropMoveEnds, .notify(_, .moved)), (.dropMoveEnds, .notify(_, .moveAborted)): []
        case (.doubleNotices, .notify(_, .invalidate)): [effect, effect]
        case (.oldDescriptors, .passDescriptor(let id, let generation, let client, let attachment))
        where generation > .first:
            [.passDescriptor(id, Generation(generation.rawValue - 1), to: client, attachment)]
        case (.dropDescriptors, .passDescriptor): []
        case (.releaseTwice, .release): [effect, effect]
        case (.grantForeignLocks, .answer(let client, let number, .refused(.holdsLock(let lock)))):
            [.answer(client, number, .locked(lock, until: Instant(nanoseconds: .max)))]
        case (.dropDrops, .dropFence): []
        default: [effect]
        }
    }
}

/// Runs with one way of being wrong.
struct TamperedCampaign {
    let tampering: Tampering
    private(set) var failure: Campaign.Failure?

    init(_ tampering: Tampering) { self.tampering = tampering }

    mutating func isCaught(within runs: Int) -> Bool {
        var campaign = Campaign(seed: 1, steps: 200, tampering: tampering.function)
        while campaign.runs < runs, failure == nil { failure = campaign.next() }
        return failure != nil
    }
}
