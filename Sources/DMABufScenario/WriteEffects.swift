// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// A line of a scenario's expectations, without its indentation.
public func text(_ effect: Effect) -> String {
    switch effect {
    case .answer(let client, let number, let answer): "\(text(client)) #\(number.rawValue) \(text(answer))"
    case .notify(let client, let notice): "\(text(client)) told \(text(notice))"
    case .passDescriptor(let id, let generation, let client, let attachment):
        "pass \(text(id)) \(text(generation)) to \(text(client)) \(text(attachment))"
    case .watchFence(let id): "watch \(text(id))"
    case .dropFence(let id): "drop \(text(id))"
    case .importFence(let id, let buffer, let generation, let usage):
        "import \(text(id)) \(text(buffer)) \(text(generation)) \(usage)"
    case .startCopy(let id, let from, let to, let exporter):
        "copy \(text(id)) \(text(from)) to \(text(to))" + (exporter.map { " with \($0)" } ?? "")
    case .cancelCopy(let id, let generation): "cancelCopy \(text(id)) \(text(generation))"
    case .verifyRelease(let id, let generation): "verify \(text(id)) \(text(generation))"
    case .release(let id, let generation, let isVerified):
        "release \(text(id)) \(text(generation)) \(isVerified ? "verified" : "unverified")"
    case .disconnect(let client, let farewell): "disconnect \(text(client)) \(farewell)"
    case .publish(let id, let published):
        "publish \(text(id))" + (published.isMoving ? " moving" : "") + (published.hasFences ? " fences" : "")
            + (published.isRenewed ? " renewed" : "")
    case .kill(let client): "kill \(text(client))"
    }
}

func text(_ answer: Answer) -> String {
    switch answer {
    case .done: "done"
    case .refused(let refusal): "refused \(text(refusal))"
    case .registered(let id, let generation): "registered \(text(id)) \(text(generation))"
    case .found(let id, let generation): "found \(text(id)) \(text(generation))"
    case .attached(let id, let generation, let fences): "attached \(text(id)) \(text(generation)) \(text(fences))"
    case .mapped(let id, let generation, let fences): "mapped \(text(id)) \(text(generation)) \(text(fences))"
    case .accessEnded(let state): "ended \(state)"
    case .moveBegun(let generation, let until): "moveBegun \(text(generation)) until \(text(until))"
    case .revoked(.enforced): "revoked enforced"
    case .revoked(.cooperative): "revoked cooperative"
    case .revoked(.unconfirmed(let holders)): "revoked unconfirmed \(text(holders))"
    case .fenceAdded(let id): "fenceAdded \(text(id))"
    case .snapshot(let status, let ids): "snapshot \(text(status))" + ids.map { " " + text($0) }.joined()
    case .waited(let status): "waited \(text(status))"
    case .locked(let number, let until): "locked \(text(number)) until \(text(until))"
    case .tokenWithdrawn(let tokens, let attachments): "withdrawn tokens \(tokens) attachments \(attachments)"
    case .inspected(let found): text(found)
    case .listed(let listings, let next):
        "listed" + listings.map { " " + text($0) }.joined() + (next == 0 ? "" : " next \(next)")
    }
}

private func text(_ found: Inspection) -> String {
    "inspected \(text(found.listing)) \(text(found.backing))"
        + " holders \(text(found.holders)) fences \(text(found.fences))"
        + found.quarantined.map { " quarantined \(text($0))" }.joined()
}

private func text(_ listing: Listing) -> String {
    let state = BufferState.named.filter { listing.state.contains($0.state) }.map { " \($0.name)" }.joined()
    return "\(text(listing.buffer)) \(text(listing.generation)) of \(listing.owner) bytes \(listing.byteCount)"
        + " attachments \(listing.attachments) kept \(listing.kept)" + state
        + listing.names.map { " name \($0)" }.joined()
}

extension BufferState {
    fileprivate static let named: [(name: String, state: BufferState)] = [
        ("moving", .moving), ("quarantined", .quarantined), ("withdrawn", .withdrawn), ("pinned", .pinned),
        ("locked", .locked),
    ]
}

func text(_ fences: FenceSummary) -> String {
    fences.pending == 0 ? text(fences.status) : "\(text(fences.status)) \(fences.pending)"
}

func text(_ status: FenceStatus) -> String {
    switch status {
    case .pending: "pending"
    case .ok: "ok"
    case .error(let code): "error \(code)"
    case .ownerDead: "ownerDead"
    }
}

/// `a3(c1)`, or `a3` alone where the asker may not know whose it is.
func text(_ holder: Holder) -> String {
    text(holder.attachment) + (holder.client.map { "(\(text($0)))" } ?? "")
}

func text(_ holders: [Holder]) -> String {
    holders.isEmpty ? "nobody" : holders.map { text($0) }.joined(separator: ",")
}

func text(_ notice: Notice) -> String {
    switch notice {
    case .invalidate(let id, let buffer, let generation, let until):
        "invalidate \(text(id)) \(text(buffer)) \(text(generation)) until \(text(until))"
    case .moving(let id, let buffer, let generation): "moving \(text(id)) \(text(buffer)) \(text(generation))"
    case .moved(let id, let buffer, let generation): "moved \(text(id)) \(text(buffer)) \(text(generation))"
    case .moveAborted(let id, let buffer, let generation): "moveAborted \(text(id)) \(text(buffer)) \(text(generation))"
    case .readyToCopy(let buffer, let generation, let status, let until):
        "readyToCopy \(text(buffer)) \(text(generation)) \(text(status)) until \(text(until))"
    case .moveEnded(let buffer, .moved(let generation, let cutOff)):
        "moveEnded \(text(buffer)) moved \(text(generation)) cutOff \(text(cutOff))"
    case .moveEnded(let buffer, .aborted(let reason)): "moveEnded \(text(buffer)) aborted \(text(reason))"
    case .revoke(let id, let buffer, let isFinal, let until):
        "revoke \(text(id)) \(text(buffer))\(isFinal ? " final" : "") until \(text(until))"
    case .revoked(let id, let buffer, let state): "revoked \(text(id)) \(text(buffer)) \(state)"
    case .restored(let id, let buffer): "restored \(text(id)) \(text(buffer))"
    case .attachmentEnded(let id, let buffer): "attachmentEnded \(text(id)) \(text(buffer))"
    case .ownerGone(let id, let buffer): "ownerGone \(text(id)) \(text(buffer))"
    case .withdrawn(let id, let buffer): "withdrawn \(text(id)) \(text(buffer))"
    case .quarantined(let buffer, let generation): "quarantined \(text(buffer)) \(text(generation))"
    case .released(let buffer, let generation, let isVerified):
        "released \(text(buffer)) \(text(generation)) \(isVerified ? "verified" : "unverified")"
    case .fenceExpired(let id, let buffer): "fenceExpired \(text(id)) \(text(buffer))"
    case .lockEnded(let number): "lockEnded \(text(number))"
    }
}

private func text(_ reason: MoveAbort) -> String {
    switch reason {
    case .late(let holders): "late \(text(holders))"
    case .refused(let by): "refused \(text(by))"
    default: "\(reason)"
    }
}

func text(_ refusal: Refusal) -> String {
    switch refusal {
    case .stale(let current): "stale current \(text(current))"
    case .forbidden(let missing): "forbidden missing \(text(missing))"
    case .tokenTooWide(let excess): "tokenTooWide \(text(excess))"
    case .quarantined(let holders): "quarantined \(text(holders))"
    case .pinned(let holders): "pinned \(text(holders))"
    case .moving(let until): "moving until \(text(until))"
    case .notOwed(let current): "notOwed current \(text(current))"
    case .twoInQuarantine(let holders): "twoInQuarantine \(text(holders))"
    case .wrongSize(let expected): "wrongSize expected \(expected)"
    case .settling(let until): "settling until \(text(until))"
    case .beingRevoked(let until): "beingRevoked until \(text(until))"
    case .noSlots(let limit): "noSlots limit \(limit)"
    case .notLater(let than): "notLater than \(than)"
    case .tooLong(let limit): "tooLong limit \(text(limit))"
    case .timedOut(let ids): "timedOut" + ids.map { " " + text($0) }.joined()
    case .locked(let number): "locked \(text(number))"
    case .holdsLock(let number): "holdsLock \(text(number))"
    case .lockTimedOut(let number): "lockTimedOut \(number.map { text($0) } ?? "move")"
    case .overQuota(let excess):
        "overQuota \(excess.resource) limit \(excess.limit) share \(excess.share) remaining \(excess.remaining)"
            + " users \(excess.users) largest \(excess.largest)"
    case .tooMany(let what, let limit): "tooMany \(what) limit \(limit)"
    case .deniedByPolicy(let line): "deniedByPolicy line \(line)"
    case .overCeiling(let excess):
        "overCeiling \(excess.resource) limit \(excess.limit) share \(excess.share) line \(excess.line)"
    default: "\(refusal)"
    }
}
