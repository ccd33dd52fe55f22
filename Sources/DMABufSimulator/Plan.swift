// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// What a seed makes of a run before its first step: the limits, the weights and the words.
package struct Plan: Sendable {
    package let seed: UInt64
    let limits: Limits
    let weights: Weights
    package var steps: [Step]

    static let firstPeers = 5
    static let firstBuffers = 5

    package init(seed: UInt64, steps count: Int) {
        self.seed = seed
        var random = RandomWords(seed: seed)
        limits = Self.limits(&random)
        weights = Weights(&random)
        steps = []
        steps.reserveCapacity(count)
        for index in 0..<count { steps.append(Step(index: index, word: random.next())) }
    }

    /// Of its steps only these.
    package func keeping(_ indices: Set<Int>) -> Plan {
        var plan = self
        plan.steps = steps.filter { indices.contains($0.index) }
        return plan
    }

    /// Every second run is cramped, so that each limit is met.
    private static func limits(_ random: inout RandomWords) -> Limits {
        var limits = Limits()
        guard random.oneIn(2) else { return limits }
        limits.clients = 9
        limits.buffers = random.oneIn(2) ? 24 : 65_536
        limits.bytes = random.oneIn(2) ? 1 << 18 : 1 << 40
        limits.descriptors = random.oneIn(2) ? 20 : 262_144
        limits.pinnedBytes = random.oneIn(2) ? 1 << 15 : 1 << 36
        limits.attachments = random.oneIn(2) ? 12 : 1 << 20
        limits.quarantinedBytes = random.oneIn(2) ? 1 << 15 : 1 << 38
        limits.notices = random.oneIn(2) ? 24 : 1 << 20
        limits.noticesPerClient = random.oneIn(2) ? 12 : 4096
        limits.fencesPerBuffer = random.oneIn(2) ? 6 : 64
        limits.waitsPerClient = random.oneIn(2) ? 2 : 64
        limits.buffersPerLock = random.oneIn(2) ? 2 : 64
        limits.tokensPerBuffer = random.oneIn(2) ? 2 : 256
        limits.sharesPerBuffer = 2
        limits.namesPerBuffer = 1
        limits.delegationDepth = UInt32(random.below(3))
        return limits
    }
}
