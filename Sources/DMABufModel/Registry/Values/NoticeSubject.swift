// SPDX-License-Identifier: Apache-2.0

extension Notice {
    /// Which of the client's attachments it is about; nil if it is about none.
    public var attachment: AttachmentID? {
        switch self {
        case .invalidate(let attachment, _, _, _), .moving(let attachment, _, _), .moved(let attachment, _, _),
            .moveAborted(let attachment, _, _), .revoke(let attachment, _, _, _), .revoked(let attachment, _, _),
            .restored(let attachment, _), .attachmentEnded(let attachment, _), .ownerGone(let attachment, _),
            .withdrawn(let attachment, _):
            attachment
        case .readyToCopy, .moveEnded, .quarantined, .released, .fenceExpired, .lockEnded: nil
        }
    }

    /// Which buffer it is about; nil if it is about none.
    public var buffer: BufferID? {
        switch self {
        case .invalidate(_, let buffer, _, _), .moving(_, let buffer, _), .moved(_, let buffer, _),
            .moveAborted(_, let buffer, _), .readyToCopy(let buffer, _, _, _), .moveEnded(let buffer, _),
            .revoke(_, let buffer, _, _), .revoked(_, let buffer, _), .restored(_, let buffer),
            .attachmentEnded(_, let buffer), .ownerGone(_, let buffer), .withdrawn(_, let buffer),
            .quarantined(let buffer, _), .released(let buffer, _, _), .fenceExpired(_, let buffer):
            buffer
        case .lockEnded: nil
        }
    }
}
