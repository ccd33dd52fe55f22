// SPDX-License-Identifier: Apache-2.0

/// Everything that a client can ask. Each request is answered exactly once, at once or when its wait ends, unless its
/// client dies first.
public enum Request: Hashable, Sendable {
    // Lifetime.
    case register(BufferID, Registration)
    /// The owner lets go: what that means depends on how the buffer is kept.
    case withdraw(BufferID)

    // Rights and names.
    case name(BufferID, String)
    case share(BufferID, Share)
    /// A name of `uid`, or of the asker's own uid.
    case lookup(String, uid: UInt32?)
    case makeToken(TokenID, BufferID, TokenTerms)
    case withdrawToken(TokenID)
    case inspect(BufferID, token: TokenID?)
    /// The buffers that the asker may see, some at a time; 0 begins.
    case list(from: UInt32)

    // Attach.
    case attach(BufferID, AttachTerms)
    /// A look-up and an attach in one.
    case attachNamed(String, uid: UInt32?, AttachTerms)
    /// The descriptor of the present generation, after a move or a revocation that may come back.
    case map(AttachmentID)
    case detach(AttachmentID)
    case pin(AttachmentID)
    case unpin(AttachmentID)
    case renew(AttachmentID, lease: Interval)
    case beginAccess(AttachmentID, Generation, Access)
    case endAccess(AttachmentID)

    // Move.
    indirect case beginMove(BufferID, Generation, MoveTerms)
    /// The holder has unmapped; `ending` is the fence that ends its use, if work is still under way.
    case acknowledge(AttachmentID, Generation, ending: FenceTerms?)
    /// The holder will not let go.
    case refuseMove(AttachmentID, Generation)
    /// `fence` is the copy's, for memory that is still being filled.
    indirect case commitMove(BufferID, Generation, Backing, fence: FenceTerms?)
    case abortMove(BufferID, Generation)

    // Revoke.
    case revoke(BufferID, RevokeTerms)
    case acknowledgeRevoke(AttachmentID)
    /// Lets a revoked attachment map again.
    case restore(AttachmentID)

    // Reservation.
    case reserve(AttachmentID, slots: UInt32)
    case addFence(AttachmentID, FenceTerms, lock: LockNumber?)
    /// The client's own fence there is still pending, and lasts for `within` from now.
    case renewFence(AttachmentID, timeline: UInt32, within: Interval)
    case snapshot(AttachmentID, Usage)
    case wait(AttachmentID, Usage, within: Interval)
    case lock([BufferID], within: Interval, lasting: Interval)
    case unlock(LockNumber)
}

extension Request {
    /// Whether ``mappingTokens(_:)`` makes another of it.
    public var showsToken: Bool {
        switch self {
        case .makeToken, .withdrawToken: true
        case .inspect(_, let token): token != nil
        case .attach(_, let terms), .attachNamed(_, _, let terms): terms.token != nil
        case .beginMove(_, _, let terms): terms.token != nil
        case .revoke(_, let terms): terms.token != nil
        default: false
        }
    }

    /// The same request with other numbers for its tokens: a client sends secrets, the rules know hashes.
    public consuming func mappingTokens(_ map: (TokenID) -> TokenID) -> Request {
        switch self {
        case .makeToken(let token, let buffer, var terms):
            terms.parent = terms.parent.map(map)
            return .makeToken(map(token), buffer, terms)
        case .withdrawToken(let token): return .withdrawToken(map(token))
        case .inspect(let buffer, let token?): return .inspect(buffer, token: map(token))
        case .attach(let buffer, var terms):
            terms.token = terms.token.map(map)
            return .attach(buffer, terms)
        case .attachNamed(let name, let uid, var terms):
            terms.token = terms.token.map(map)
            return .attachNamed(name, uid: uid, terms)
        case .beginMove(let buffer, let generation, var terms):
            terms.token = terms.token.map(map)
            return .beginMove(buffer, generation, terms)
        case .revoke(let buffer, var terms):
            terms.token = terms.token.map(map)
            return .revoke(buffer, terms)
        default: return self
        }
    }
}
