// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// A refusal in words: which rule, and who is in the way.
extension Refusal {
    public var sentence: String {
        switch self {
        case .stale(let current): "that generation is over: the buffer is at generation \(current.rawValue)"
        case .overflowUID: "the user is one that this namespace does not know"
        case .numberTaken: "there is such a token already"
        case .noSuchBuffer: "there is no such buffer"
        case .noSuchAttachment: "there is no such attachment"
        case .noSuchToken: "there is no such token"
        case .forbidden(let missing): "the right to \(missing.words) is missing"
        case .notTheOwner: "only the buffer's owner may do that"
        case .tokenTooWide(let rights): "the token it comes from does not carry the right to \(rights.words)"
        case .nameTaken: "the name is taken"
        case .deniedByPolicy(let line): "line \(line) of the registry's policy does not allow it"
        case .bufferEnded: "the buffer is over"
        case .quarantined(let suspects):
            "the buffer is in quarantine: work that a dead client submitted may still be writing\(suspects.words(", held by"))"
        case .revoked: "the attachment was revoked"
        case .dead: "the attachment was revoked for good"
        case .notInAccess: "no access is under way"
        case .malformed: "a value makes no sense there"
        default: sentenceOfLater
        }
    }

    private var sentenceOfLater: String {
        switch self {
        case .pinned(let holders): "the buffer is pinned\(holders.words(" by"))"
        case .moving: "the buffer is being moved"
        case .settling: "the registry was restarted, and not all who were attached are back yet"
        case .notMoving: "the buffer is not being moved, or not ready for that"
        case .notTheMover: "another client moves the buffer"
        case .notOwed(let current):
            "nobody waits for that answer any more: the buffer is at generation \(current.rawValue)"
        case .twoInQuarantine(let suspects):
            "two old generations have not been let go yet\(suspects.words(" by"))"
        case .wrongSize(let expected): "the new memory must have \(expected) bytes"
        case .sameMemory: "the new memory is the old memory"
        case .beingRevoked: "the attachment is being revoked already"
        case .notReserved: "no slot was reserved for the fence"
        case .noSlots(let limit): "the buffer has room for \(limit) fences at most"
        case .notLater(let point): "the timeline is at point \(point) already"
        case .noSuchFence: "no fence of that timeline is pending: it has ended, or its time is over"
        case .tooLong(let limit): "that is too long: at most \(limit.nanoseconds.inSeconds) s"
        case .timedOut(let fences): "\(fences.words) did not end in time"
        case .locked(let number): "the buffer is locked (lock \(number.rawValue))"
        case .holdsLock(let number): "this client has or waits for lock \(number.rawValue) already"
        case .lockEnded: "the lock is over"
        case .lockTimedOut(let number):
            "the lock was not to be had in time: "
                + (number.map { "lock \($0.rawValue) was in the way" } ?? "a move was in the way")
        case .overQuota(let excess): excess.sentence
        case .overCeiling(let excess):
            "over this user's ceiling of \(excess.resource): \(excess.limit), of which \(excess.share) are taken "
                + "(line \(excess.line) of the registry's policy)"
        case .tooMany(let what, let limit): "there may be \(limit) \(what) at most"
        default: "\(self)"
        }
    }

    /// What a person can do about it, where there is something.
    public var remedy: String? {
        switch self {
        case .noSuchBuffer: "see which there are: dmabuf-share list"
        case .pinned: "wait until they unpin it, or revoke them: dmabuf-share revoke"
        case .overQuota: "let go of what is not needed, or raise the limit of the registry"
        case .forbidden: "ask the owner to share it with you, or for a token"
        case .twoInQuarantine: "wait until they map the present generation, or detach; `dmabuf-share show` lists them"
        case .timedOut: "allow more time, or see what is under way: dmabuf-share fence list"
        case .lockTimedOut: "allow more time, or see who is in the way: dmabuf-share show"
        case .overCeiling: "let go of what is not needed, or ask whoever runs the registry"
        case .deniedByPolicy: "ask whoever runs the registry"
        case .settling: "try again in some seconds"
        case .nameTaken: "choose another name, or remove the other buffer: dmabuf-share remove"
        default: nil
        }
    }
}

extension Refusal {
    /// Whether a wait ended at its deadline, rather than a rule said no.
    public var isDeadline: Bool {
        switch self {
        case .timedOut, .lockTimedOut: true
        default: false
        }
    }
}

extension QuotaExcess {
    fileprivate var sentence: String {
        "over the limit of \(resource): \(limit) in all, \(remaining) left, \(share) of them this user's, "
            + "shared by \(users) user(s); most has user \(largest)"
    }
}

extension UInt64 {
    /// Nanoseconds as "2" or "0.5".
    fileprivate var inSeconds: String {
        let milliseconds = self / 1_000_000
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)" : "\(Double(milliseconds) / 1000)"
    }
}

extension [FenceID] {
    /// "fence 5", "fences 5, 6 and 2 more".
    fileprivate var words: String {
        let names = prefix(4).map { "\($0.rawValue)" }.joined(separator: ", ")
        return (count == 1 ? "fence " : "fences ") + names + (count > 4 ? " and \(count - 4) more" : "")
    }
}

extension [Holder] {
    /// "attachment 5 of client 3, attachment 7"; nothing for nobody.
    public var words: String {
        let names = prefix(4).map { holder in
            "attachment \(holder.attachment.rawValue)" + (holder.client.map { " of client \($0.rawValue)" } ?? "")
        }
        return names.joined(separator: ", ") + (count > 4 ? " and \(count - 4) more" : "")
    }

    fileprivate func words(_ beginning: String) -> String { isEmpty ? "" : "\(beginning) \(words)" }
}

extension MoveAbort {
    /// Why a move came to nothing, and because of whom.
    public var sentence: String {
        switch self {
        case .tokenEnded: "the token that it was begun with has ended"
        case .late(let holders): "not all let go in time\(holders.words(":"))"
        case .refused(let holder): "\([holder].words) will not let go"
        case .asked: "it was called off"
        case .copyFailed: "the content could not be copied"
        case .copyLate: "copying the content took too long"
        case .bufferEnded: "the buffer is over"
        case .quarantined: "work that a dead client submitted may still be writing"
        }
    }
}

extension RevokeLevel {
    /// The level's name, as PROTOCOL.md has it.
    public var name: String {
        switch self {
        case .enforced: "enforced"
        case .cooperative: "cooperative"
        case .unconfirmed: "unconfirmed"
        }
    }

    /// What it means, and no more than that.
    public var sentence: String {
        switch self {
        case .enforced: "nobody has it any more, and the kernel's count proves it"
        case .cooperative: "all who had it say that they let go, or are gone; nothing proves it"
        case .unconfirmed(let holders): "not answered by \(holders.words), who may still reach the memory"
        }
    }
}

extension FenceStatus {
    public var words: String {
        switch self {
        case .pending: "pending"
        case .ok: "ok"
        case .error(let code): "error \(code)"
        case .ownerDead: "owner dead"
        }
    }
}

extension Rights {
    /// Each right by its name, the lowest bit first.
    public static let named: [(name: String, right: Rights)] = [
        ("read", .attachRead), ("write", .attachWrite), ("fence", .fence), ("pin", .pin), ("move", .move),
        ("revoke", .revoke), ("delegate", .delegate), ("inspect", .inspect),
    ]

    public var words: String { Self.named.filter { contains($0.right) }.map(\.name).joined(separator: ", ") }
}
