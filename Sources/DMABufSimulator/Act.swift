// SPDX-License-Identifier: Apache-2.0

package import DMABufModel

/// One thing that is done to the registry.
package enum Act: Hashable, Sendable {
    case connect(Identity)
    case request(peer: Int, RequestNumber, Request)
    case observe(Observation)
    case expire

    /// A death is told when all that was due before it has been said.
    var comesAfterWhatIsDue: Bool {
        switch self {
        case .observe(.clientDied), .request(_, _, .commitMove): true
        default: false
        }
    }

    /// What falls due in the very step that reports a copy may begin another one.
    var mayComeLate: Bool {
        if case .observe(.copyDone) = self { true } else { false }
    }

    /// Whether it reports the end of this fence.
    func ends(_ fence: FenceID) -> Bool {
        if case .observe(.fenceEnded(fence, _)) = self { true } else { false }
    }
}

/// One step of a run before it is known what it will do: that depends on the word and on what the world then looks like.
package struct Step: Hashable, Sendable {
    /// Its place in the run as it was first made; what it brings into the world is labelled with it.
    package internal(set) var index: Int
    var word: UInt64
}
