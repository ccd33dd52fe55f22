// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// What a client asks.
extension Chooser {
    mutating func request(for choice: Choice) -> Act? {
        switch choice {
        case .register: register()
        case .lock: lockSeveral()
        case .unlock: unlock()
        case .lookup: lookup()
        case .attachNamed: attachNamed()
        case .list: ask(alivePeer(), .list(from: UInt32(random.below(3))))
        case .makeToken: makeToken()
        case .withdrawToken: withdrawToken()
        case .acknowledge, .refuseMove, .acknowledgeRevoke: answerNotice(choice)
        case .commitMove, .abortMove: endMove(choice)
        case .attach, .withdraw, .name, .share, .inspect, .beginMove, .revoke: ask(ofBuffer: choice)
        default: ask(ofAttachment: choice)
        }
    }

    private func ask(_ peer: Int?, _ request: Request) -> Act? {
        peer.map { .request(peer: $0, RequestNumber(world.nextRequest), request) }
    }

    private mutating func register() -> Act? {
        let taken = random.oneIn(40) ? world.buffers.last?.id : nil
        let id = taken ?? BufferID(high: 0, low: UInt64(index + 1))
        let kept: Kept = [.lastAttachment, .owner, .lastAttachment, .registry][random.below(4)]
        let size = UInt64(4096 * (1 + random.below(random.oneIn(8) ? 64 : 4)))
        let name = random.oneIn(3) ? bufferName() : nil
        return ask(alivePeer(), .register(id, Registration(backing: backing(byteCount: size), kept: kept, name: name)))
    }

    private mutating func lockSeveral() -> Act? {
        if let abandoned = abandoned() {
            // Long enough to be there still when the fence's time is over.
            let id = world.buffers[abandoned].id
            return ask(owner(of: abandoned), .lock([id], within: .seconds(5), lasting: .seconds(5)))
        }
        guard let first = buffer() else { return nil }
        var ids = [world.buffers[first].id]
        for _ in 0..<random.below(4) {
            if let more = buffer(), !ids.contains(world.buffers[more].id) || random.oneIn(30) {
                ids.append(world.buffers[more].id)
            }
        }
        return ask(owner(of: first), .lock(ids, within: interval(), lasting: interval()))
    }

    private mutating func unlock() -> Act? {
        guard
            let index = random.choose(
                world.locks, labelled: { $0.label }, where: { !$0.isOver })
                ?? random.choose(world.locks, labelled: { $0.label }, where: { _ in true })
        else { return nil }
        let lock = world.locks[index]
        let peer = random.oneIn(20) || !world.peers[lock.peer].isAlive ? alivePeer() : lock.peer
        return ask(peer, .unlock(lock.number))
    }

    private mutating func lookup() -> Act? {
        ask(alivePeer(), .lookup(bufferName(), uid: [nil, 1000, 1001][random.below(3)]))
    }

    private mutating func attachNamed() -> Act? {
        ask(alivePeer(), .attachNamed(bufferName(), uid: [nil, 1000, 1001][random.below(3)], attachTerms(nil)))
    }

    private mutating func bufferName() -> String {
        ["left", "right", "preview", ""][random.below(20) == 0 ? 3 : random.below(3)]
    }

    private mutating func makeToken() -> Act? {
        guard let index = buffer() else { return nil }
        let id = world.buffers[index].id
        let parent = random.oneIn(2) ? token(for: id) : nil
        let terms = TokenTerms(
            rights(), uses: random.oneIn(2) ? UInt32(random.below(4)) : nil, lasts: random.oneIn(3) ? interval() : nil,
            parent: parent)
        let taken = random.oneIn(30) ? world.tokens.last?.id : nil
        return ask(
            parent == nil ? owner(of: index) : friend(of: index),
            .makeToken(taken ?? TokenID(high: 0, low: UInt64(self.index + 1)), id, terms))
    }

    private mutating func withdrawToken() -> Act? {
        guard let index = random.choose(world.tokens, labelled: { $0.label }, where: { _ in true }) else { return nil }
        let token = world.tokens[index]
        let peer = random.oneIn(4) || !world.peers[token.peer].isAlive ? alivePeer() : token.peer
        return ask(peer, .withdrawToken(token.id))
    }

    /// What a notice asked for: late, twice, or by someone whom nobody asked.
    private mutating func answerNotice(_ choice: Choice) -> Act? {
        guard
            let index = random.choose(
                world.attachments, labelled: { $0.label }, where: { $0.isAsked(by: world, choice) })
                ?? attachment(), let peer = asker(of: index)
        else { return nil }
        let seen = world.attachments[index]
        let generation = generation(of: seen.buffer)
        switch choice {
        case .acknowledge:
            return ask(peer, .acknowledge(seen.id, generation, ending: random.oneIn(3) ? fenceTerms() : nil))
        case .refuseMove: return ask(peer, .refuseMove(seen.id, generation))
        default: return ask(peer, .acknowledgeRevoke(seen.id))
        }
    }

    private mutating func endMove(_ choice: Choice) -> Act? {
        guard
            let index = random.choose(
                world.buffers, labelled: { $0.label },
                where: { $0.mover != nil && ($0.isReadyToCopy || choice == .abortMove) }) ?? buffer()
        else { return nil }
        let seen = world.buffers[index]
        let peer = random.oneIn(20) ? alivePeer() : seen.mover ?? alivePeer()
        // The number of the generation that the move began from.
        let generation = generation(of: index)
        if choice == .abortMove { return ask(peer, .abortMove(seen.id, generation)) }
        return ask(
            peer,
            .commitMove(
                seen.id, generation, backing(byteCount: seen.byteCount), fence: random.oneIn(3) ? fenceTerms() : nil))
    }

    private mutating func ask(ofBuffer choice: Choice) -> Act? {
        let moving = choice == .attach ? movingAndLent() : nil
        guard let index = moving ?? buffer() else { return nil }
        let id = random.oneIn(60) ? BufferID(high: 0, low: 999) : world.buffers[index].id
        let token = moving != nil || random.oneIn(3) ? token(for: id) : nil
        switch choice {
        case .attach: return ask(guest(of: index, showing: token), .attach(id, attachTerms(token)))
        case .withdraw: return ask(owner(of: index), .withdraw(id))
        case .name: return ask(owner(of: index), .name(id, bufferName()))
        case .share: return ask(owner(of: index), .share(id, share()))
        case .inspect: return ask(guest(of: index, showing: token), .inspect(id, token: token))
        case .beginMove:
            let peer = token == nil ? owner(of: index) : guest(of: index, showing: token)
            return ask(peer, .beginMove(id, generation(of: index), moveTerms(token, peer)))
        default: return ask(owner(of: index), .revoke(id, revokeTerms(index, token)))
        }
    }

    private mutating func attachTerms(_ token: TokenID?) -> AttachTerms {
        let mobility: Mobility = [.movable, .movable, .movable, .revocable, .pinned][random.below(5)]
        return AttachTerms(
            random.oneIn(40) ? Access(rawValue: 0) : access(), mobility, lease: random.oneIn(4) ? interval() : nil,
            token: token)
    }

    private mutating func share() -> Share {
        let audience: Share.Audience = [.user(1001), .group(50), .everyone, .user(1000)][random.below(4)]
        return Share(audience, rights())
    }

    private mutating func moveTerms(_ token: TokenID?, _ peer: Int?) -> MoveTerms {
        MoveTerms(
            within: interval(), late: random.oneIn(2) ? .abort : .cutOff, copier: random.oneIn(2) ? .mover : .server,
            token: token, lock: lock(of: peer))
    }

    private mutating func revokeTerms(_ buffer: Int, _ token: TokenID?) -> RevokeTerms {
        let one = random.choose(
            world.attachments, labelled: { $0.label }, where: { $0.buffer == buffer && !$0.isOver })
        let target = one.map { RevokeTerms.Target.attachment(world.attachments[$0].id) } ?? .everyone
        return RevokeTerms(
            random.oneIn(2) ? .everyone : target, within: interval(), isFinal: random.oneIn(3),
            cutsOff: random.oneIn(3), token: token)
    }

    private mutating func ask(ofAttachment choice: Choice) -> Act? {
        let chosen =
            switch choice {
            case .endAccess: attachment(where: { $0.accesses > 0 })
            case .restore: attachment(where: { $0.state != .ok })
            case .addFence: attachment(where: { $0.reserved > 0 })
            default: attachment()
            }
        guard let index = chosen, let peer = asker(of: index) else { return nil }
        return ask(choice == .restore && random.oneIn(2) ? alivePeer() : peer, request(choice, index, peer))
    }

    private mutating func request(_ choice: Choice, _ index: Int, _ peer: Int) -> Request {
        let seen = world.attachments[index]
        switch choice {
        case .map: return .map(seen.id)
        case .detach: return .detach(seen.id)
        case .pin: return .pin(seen.id)
        case .unpin: return .unpin(seen.id)
        case .renew: return .renew(seen.id, lease: interval())
        case .beginAccess: return .beginAccess(seen.id, generation(of: seen.buffer), access())
        case .endAccess: return .endAccess(seen.id)
        case .restore: return .restore(seen.id)
        case .reserve: return .reserve(seen.id, slots: UInt32(random.below(4)))
        case .addFence: return .addFence(seen.id, fenceTerms(), lock: lock(of: peer))
        case .renewFence:
            return .renewFence(seen.id, timeline: UInt32(random.below(3)), within: interval())
        case .snapshot: return .snapshot(seen.id, usage())
        default: return .wait(seen.id, usage(), within: interval())
        }
    }
}

extension SeenAttachment {
    /// Whether a notice that its client has not acted on is answered by such a request.
    func isAsked(by world: World, _ choice: Choice) -> Bool {
        guard !isOver else { return false }
        return world.peers[peer].owed.contains { notice in
            switch notice {
            case .invalidate(id, _, _, _): choice != .acknowledgeRevoke
            case .revoke(id, _, _, _): choice == .acknowledgeRevoke
            default: false
            }
        }
    }
}
