// SPDX-License-Identifier: Apache-2.0

import DMABuf
public import DMABufModel
public import DMABufSystem

/// The promise of work that goes on for longer than one fence may last: the client's own fences at one timeline of some
/// buffers, renewed before their time is over.
///
/// Rule: *who is not promised any more does not work on.* A fence whose time is over has failed for those who wait, and a
/// move may have copied what was there then: so ``renew(_:until:)`` throws, and the work stops.
public struct LastingPromise: Sendable {
    private let attachments: [AttachmentID]
    private let timeline: UInt32
    /// When the first of the fences is over, unless they are renewed.
    public private(set) var end: Deadline
    /// When it is to be renewed: half of what is left is over then.
    public private(set) var nextTurn: Deadline

    /// `end`: no later than that of any of the fences.
    public init(on attachments: [AttachmentID], timeline: UInt32, end: Deadline) {
        self.attachments = attachments
        self.timeline = timeline
        self.end = end
        nextTurn = .after(end.remaining / 2)
    }

    /// To be called now and then. Asks the registry from ``nextTurn`` on.
    ///
    /// Throws ``Refusal/noSuchFence`` when the time of one is over. During a move, and while the registry is restarted,
    /// they may not be renewed: they last until ``end`` then.
    public mutating func renew(
        _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) {
        let longest = FenceTerms.longestInterval
        guard nextTurn.hasPassed else { return }
        guard !end.hasPassed else { throw .ruledOut(.noSuchFence) }
        let next = Deadline.after(Duration(longest))
        do throws(RegistryError) {
            for attachment in attachments {
                try registry.renewFence(on: attachment, timeline, within: longest, until: deadline)
            }
            end = next
        } catch {
            let isMoving = if case .ruledOut(.moving) = error { true } else { false }
            guard isMoving || error.isOfRestart else { throw error }
        }
        nextTurn = .after(end.remaining / 2)
    }
}

extension RegistryConnection {
    /// Has this client's own pending fence at `timeline` last for `within` from now, 10 s at most, for work that takes
    /// longer than a fence may. It is the same fence: who waits for it waits on. It takes no lock.
    ///
    /// Throws ``Refusal/noSuchFence`` if none is pending, and ``Refusal/moving(until:)`` if that is beyond the deadline of a
    /// move that is under way.
    public mutating func renewFence(
        on attachment: AttachmentID, _ timeline: UInt32, within: Interval, until deadline: Deadline
    ) throws(RegistryError) {
        try ask(.renewFence(attachment, timeline: timeline, within: within), until: deadline)
    }
}
