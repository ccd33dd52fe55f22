// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// What a client has been told of its attachments that decides what a later answer means: the registry speaks of an
/// attachment, and not of which of its accesses or moves.
struct AttachmentMarks {
    /// How often it has lost the accesses that it was inside of.
    private var losses: [AttachmentID: Int] = [:]
    /// By when the move that goes on is to be answered. Only two that begin in one turn of the registry have the same.
    private var asked: [AttachmentID: Instant] = [:]
    /// The generation that it was moved to last.
    private var moved: [AttachmentID: Generation] = [:]

    func losses(of attachment: AttachmentID) -> Int { losses[attachment, default: 0] }

    /// Whether an answer to the move that asked for one by then would be taken for nothing else.
    func checkOwed(
        _ attachment: AttachmentID, _ generation: Generation, by deadline: Instant
    ) throws(Refusal) {
        guard asked[attachment] != deadline else { return }
        if let current = moved[attachment], current > generation { throw .stale(current: current) }
        throw .notOwed(current: generation)
    }

    mutating func heard(_ notice: Notice) {
        switch notice {
        case .invalidate(let attachment, _, _, let until): asked[attachment] = until
        case .moved(let attachment, _, let generation):
            asked[attachment] = nil
            moved[attachment] = generation
        case .moveAborted(let attachment, _, _): asked[attachment] = nil
        case .revoked(let attachment, _, _): losses[attachment, default: 0] += 1
        case .attachmentEnded(let attachment, _): forget(attachment)
        default: break
        }
    }

    mutating func forget(_ attachment: AttachmentID) {
        losses[attachment] = nil
        asked[attachment] = nil
        moved[attachment] = nil
    }

    /// The next registry knows nothing of the moves of the one before.
    mutating func forgetMoves() { asked = [:] }
}
