// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

// Values as the words of a scenario. What is written for a step is read back as the same step.

public func text(_ client: ClientID) -> String { "c\(client.rawValue)" }
func text(_ id: AttachmentID) -> String { "a\(id.rawValue)" }
func text(_ id: FenceID) -> String { "f\(id.rawValue)" }
func text(_ number: LockNumber) -> String { "l\(number.rawValue)" }
func text(_ generation: Generation) -> String { "g\(generation.rawValue)" }
func text(_ id: BufferID) -> String { id.high == 0 ? "b\(id.low)" : "b\(id.high).\(id.low)" }
func text(_ id: TokenID) -> String { id.high == 0 ? "t\(id.low)" : "t\(id.high).\(id.low)" }
func text(_ instant: Instant) -> String { text(Interval(nanoseconds: instant.nanoseconds)) }

func text(_ interval: Interval) -> String {
    let count = interval.nanoseconds
    if count % 1_000_000_000 == 0, count > 0 { return "\(count / 1_000_000_000)s" }
    if count % 1_000_000 == 0 { return "\(count / 1_000_000)ms" }
    return count % 1_000 == 0 ? "\(count / 1_000)us" : "\(count)ns"
}

func text(_ rights: Rights) -> String {
    if rights == .all { return "all" }
    let names = Rights.named.filter { $0.name != "all" && rights.contains($0.right) }.map(\.name)
    return names.isEmpty ? "none" : names.joined(separator: "+")
}

/// Even what is refused is read back.
func text(_ access: Access) -> String { access.rawValue == 0 ? "none" : "\(access)" }

func text(name: String) -> String { name.isEmpty ? "\"\"" : name }

func text(_ backing: Backing) -> String {
    "bytes \(backing.byteCount) inode \(backing.inode)"
        + (backing.descriptorCount == 1 ? "" : " descriptors \(backing.descriptorCount)")
        + (backing.provesRelease ? "" : " untold")
}

func text(_ terms: FenceTerms) -> String {
    "timeline \(terms.timeline) point \(terms.point) \(terms.usage)" + (terms.kind == .syncFile ? "" : " \(terms.kind)")
        + (terms.within == FenceTerms.defaultInterval ? "" : " within \(text(terms.within))")
}

private func optional<Value>(_ word: String, _ value: Value?, _ text: (Value) -> String) -> String {
    value.map { " \(word) \(text($0))" } ?? ""
}

/// A line of a scenario, with its time.
public func text(_ step: Step, at time: Instant) -> String { "@ \(text(time)) \(text(step))" }

public func text(_ step: Step) -> String {
    switch step {
    case .connect(let identity):
        "connect uid \(identity.uid)" + identity.gids.map { " gid \($0)" }.joined() + " pid \(identity.pid)"
    case .impose(let client, let conditions): "impose \(text(client))" + text(conditions)
    case .request(let client, let number, let request): "\(text(client)) #\(number.rawValue) \(text(request))"
    case .observe(let observation): text(observation)
    case .expire: "expire"
    case .restart: "restart"
    case .comeBack(let client, let identity):
        "back \(text(client)) uid \(identity.uid)" + identity.gids.map { " gid \($0)" }.joined()
            + " pid \(identity.pid)"
    }
}

private func text(_ conditions: Conditions) -> String {
    let ceilings = Resource.allCases.compactMap { resource in
        conditions.ceilings[resource].map { " ceiling \(resource) \($0.limit) line \($0.line)" }
    }
    return ceilings.joined()
        + optional("ladder", conditions.ladder) { "\(text($0.grace)) \($0.last)" }
}

func text(_ observation: Observation) -> String {
    switch observation {
    case .clientDied(let client): "died \(text(client))"
    case .count(let id, let generation, .atBaseline): "count \(text(id)) \(text(generation)) baseline"
    case .count(let id, let generation, .raised(let by)): "count \(text(id)) \(text(generation)) raised \(by)"
    case .count(let id, let generation, .untold): "count \(text(id)) \(text(generation)) untold"
    case .copyDone(let id, let generation, let backing): "copied \(text(id)) \(text(generation)) \(text(backing))"
    case .copyFailed(let id, let generation): "copyFailed \(text(id)) \(text(generation))"
    case .fenceEnded(let id, .ok): "ended \(text(id)) ok"
    case .fenceEnded(let id, .error(let code)): "ended \(text(id)) error \(code)"
    case .delivered(let client, let notices): "delivered \(text(client)) \(notices)"
    case .accesses(let id, let count): "accesses \(text(id)) \(count)"
    }
}

func text(_ request: Request) -> String {
    switch request {
    case .register(let id, let terms):
        "register \(text(id)) \(text(terms.backing)) kept \(terms.kept)"
            + optional("name", terms.name) { text(name: $0) }
    case .withdraw(let id): "withdraw \(text(id))"
    case .name(let id, let name): "name \(text(id)) \(text(name: name))"
    case .share(let id, let share): "share \(text(id)) \(text(share.audience)) \(text(share.rights))"
    case .lookup(let name, let uid): "lookup \(text(name: name))" + optional("uid", uid) { "\($0)" }
    case .makeToken(let token, let id, let terms): "makeToken \(text(token)) \(text(id)) \(text(terms))"
    case .withdrawToken(let token): "withdrawToken \(text(token))"
    case .inspect(let id, let token): "inspect \(text(id))" + optional("token", token) { text($0) }
    case .list(let cursor): "list from \(cursor)"
    case .attachNamed(let name, let uid, let terms):
        "attachNamed \(text(name: name))" + optional("uid", uid) { "\($0)" } + " \(text(terms))"
    case .attach(let id, let terms): "attach \(text(id)) \(text(terms))"
    case .map(let id): "map \(text(id))"
    case .detach(let id): "detach \(text(id))"
    case .pin(let id): "pin \(text(id))"
    case .unpin(let id): "unpin \(text(id))"
    case .renew(let id, let lease): "renew \(text(id)) \(text(lease))"
    case .beginAccess(let id, let generation, let access): "begin \(text(id)) \(text(generation)) \(text(access))"
    case .endAccess(let id): "end \(text(id))"
    default: textOfLater(request)
    }
}

private func textOfLater(_ request: Request) -> String {
    switch request {
    case .beginMove(let id, let generation, let terms): "move \(text(id)) \(text(generation)) \(text(terms))"
    case .acknowledge(let id, let generation, let fence):
        "acknowledge \(text(id)) \(text(generation))" + optional("fence", fence) { text($0) }
    case .refuseMove(let id, let generation): "refuseMove \(text(id)) \(text(generation))"
    case .commitMove(let id, let generation, let backing, let fence):
        "commit \(text(id)) \(text(generation)) \(text(backing))" + optional("fence", fence) { text($0) }
    case .abortMove(let id, let generation): "abort \(text(id)) \(text(generation))"
    case .revoke(let id, let terms): "revoke \(text(id)) \(text(terms))"
    case .acknowledgeRevoke(let id): "acknowledgeRevoke \(text(id))"
    case .restore(let id): "restore \(text(id))"
    case .reserve(let id, let slots): "reserve \(text(id)) \(slots)"
    case .addFence(let id, let terms, let lock):
        "fence \(text(id)) \(text(terms))" + optional("lock", lock) { text($0) }
    case .renewFence(let id, let timeline, let within):
        "renewFence \(text(id)) \(timeline) within \(text(within))"
    case .snapshot(let id, let usage): "snapshot \(text(id)) \(usage)"
    case .wait(let id, let usage, let within): "wait \(text(id)) \(usage) within \(text(within))"
    case .lock(let ids, let within, let lasting):
        "lock \(ids.map { text($0) }.joined(separator: " ")) within \(text(within)) lasting \(text(lasting))"
    case .unlock(let number): "unlock \(text(number))"
    default: "unknown"
    }
}

private func text(_ audience: Share.Audience) -> String {
    switch audience {
    case .user(let uid): "user \(uid)"
    case .group(let gid): "group \(gid)"
    case .everyone: "everyone"
    }
}

private func text(_ terms: AttachTerms) -> String {
    "\(text(terms.access)) \(terms.mobility)" + optional("lease", terms.lease) { text($0) }
        + optional("token", terms.token) { text($0) }
}

private func text(_ terms: TokenTerms) -> String {
    text(terms.rights) + optional("uses", terms.uses) { "\($0)" } + optional("lasts", terms.lasts) { text($0) }
        + optional("from", terms.parent) { text($0) }
}

private func text(_ terms: MoveTerms) -> String {
    "within \(text(terms.within)) late \(terms.late) copier \(terms.copier)"
        + optional("token", terms.token) { text($0) }
        + optional("lock", terms.lock) { text($0) } + optional("to", terms.placement) { $0 }
}

private func text(_ terms: RevokeTerms) -> String {
    var target = "everyone"
    if case .attachment(let id) = terms.target { target = text(id) }
    return "\(target) within \(text(terms.within))" + (terms.isFinal ? " final" : "")
        + (terms.cutsOff ? " cutsOff" : "") + optional("token", terms.token) { text($0) }
}
