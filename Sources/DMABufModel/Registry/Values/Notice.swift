// SPDX-License-Identifier: Apache-2.0

/// What a client is told without having asked. Each is said once, and none is dropped: a client that does not read is
/// bounded, then cut off.
public enum Notice: Hashable, Sendable {
    // Move: to holders, who are waited for.
    case invalidate(AttachmentID, BufferID, Generation, until: Instant)
    // Move: to the idle, who are not.
    case moving(AttachmentID, BufferID, Generation)
    case moved(AttachmentID, BufferID, Generation)
    case moveAborted(AttachmentID, BufferID, Generation)
    // Move: to the mover.
    case readyToCopy(BufferID, Generation, FenceStatus, until: Instant)
    case moveEnded(BufferID, MoveOutcome)

    // Revoke: a question, then a fact.
    case revoke(AttachmentID, BufferID, isFinal: Bool, until: Instant)
    case revoked(AttachmentID, BufferID, AttachmentState)
    case restored(AttachmentID, BufferID)

    // Lifetime.
    case attachmentEnded(AttachmentID, BufferID)
    case ownerGone(AttachmentID, BufferID)
    case withdrawn(AttachmentID, BufferID)
    case quarantined(BufferID, Generation)
    case released(BufferID, Generation, isVerified: Bool)

    // Reservation.
    case fenceExpired(FenceID, BufferID)
    case lockEnded(LockNumber)
}

/// What became of a move, and because of whom.
public enum MoveOutcome: Hashable, Sendable {
    /// The late ones lost their attachment's access, and what they wrote.
    case moved(Generation, cutOff: [Holder])
    case aborted(MoveAbort)
}

public enum MoveAbort: Hashable, Sendable {
    case late([Holder])
    case refused(by: Holder)
    case asked
    case copyFailed
    case copyLate
    case bufferEnded
    /// A dead client's device may still be writing.
    case quarantined
    /// The mover's right was a token's, which was withdrawn or has expired.
    case tokenEnded
}
