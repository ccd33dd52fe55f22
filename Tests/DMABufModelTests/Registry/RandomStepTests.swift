// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufScenario
import Testing

/// Random steps over a small world: numbers are drawn from what was seen, and a little beyond.
struct RandomSteps {
    private var state: UInt64
    var registry: Registry
    private(set) var now = Instant(nanoseconds: 0)
    private(set) var history: [String] = []
    private var clients: [ClientID] = []
    private var seen: UInt64 = 0
    private var inode: UInt64 = 100
    private var counts: [(BufferID, Generation)] = []
    private var requests: UInt64 = 0
    private var known: [(ClientID, AttachmentID)] = []
    private var locks: [(ClientID, LockNumber)] = []
    private var pending: [FenceID] = []
    private var asker = ClientID(0)

    init(seed: UInt64) {
        state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
        var limits = Limits()
        limits.noticesPerClient = 64
        limits.fencesPerBuffer = 6
        registry = Registry(limits: limits)
    }

    private mutating func below(_ bound: UInt64) -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return (state >> 11) % bound
    }

    private mutating func one<Choice: CaseIterable>(of _: Choice.Type) -> Choice {
        let all = Array(Choice.allCases)
        return all[Int(below(UInt64(all.count)))]
    }

    mutating func step() -> [String] {
        now = now + Interval(nanoseconds: below(4) == 0 ? below(1_000_000_000) : below(200_000))
        let step = next()
        history.append(text(step, at: now))
        let lines = step.play(on: &registry, at: now)
        history += lines.map { "  " + $0 }
        for line in lines { learn(line) }
        return registry.problems()
    }

    private mutating func learn(_ line: String) {
        let words = line.split(separator: " ").map(String.init)
        for word in words {
            if "afl".contains(word.prefix(1)), let number = UInt64(word.dropFirst()) { seen = max(seen, number) }
        }
        if words.count > 3, words[2] == "attached", let number = UInt64(words[3].dropFirst()),
            let client = UInt64(words[0].dropFirst())
        {
            known.append((ClientID(client), AttachmentID(number)))
            if known.count > 12 { known.removeFirst() }
        }
        if words.count > 3, words[2] == "locked", let client = UInt64(words[0].dropFirst()) {
            locks.append((ClientID(client), LockNumber(UInt64(words[3].dropFirst()) ?? 0)))
        }
        if words.count > 3, words[2] == "fenceAdded" { pending.append(FenceID(UInt64(words[3].dropFirst()) ?? 0)) }
        if words.first == "client", let number = UInt64(words[1].dropFirst()) { clients.append(ClientID(number)) }
        if words.first == "verify", let id = UInt64(words[1].dropFirst()), let generation = UInt64(words[2].dropFirst())
        {
            counts.append((BufferID(high: 0, low: id), Generation(generation)))
        }
    }

    private mutating func next() -> Step {
        if clients.count < 4 || below(60) == 0 {
            return .connect(Identity(uid: UInt32(1000 + below(3)), gids: [UInt32(below(3))], pid: 1))
        }
        if let deadline = registry.nextDeadline, deadline <= now, below(3) > 0 { return .expire }
        switch below(24) {
        case 0: return .expire
        case 1: return .observe(.fenceEnded(fenceNumber(), below(4) == 0 ? .error(5) : .ok))
        case 2...4:
            guard let (id, generation) = counts.popLast() else { return .expire }
            let count: Count = below(3) == 0 ? .untold : below(3) == 0 ? .raised(by: 1) : .atBaseline
            return .observe(.count(id, generation, count))
        case 5: return .observe(.delivered(client(), notices: 50))
        case 6:
            if below(4) > 0 { return .observe(.copyDone(buffer(), Generation(1 + below(4)), backing())) }
            let dead = client()
            clients.removeAll { $0 == dead }
            return .observe(.clientDied(dead))
        default:
            requests += 1
            asker = client()
            let request = request()
            return .request(asker, RequestNumber(requests), request)
        }
    }

    private mutating func client() -> ClientID { clients[Int(below(UInt64(clients.count)))] }
    private mutating func buffer() -> BufferID { BufferID(high: 0, low: 1 + below(5)) }
    private mutating func token() -> TokenID { TokenID(high: 0, low: 1 + below(5)) }
    private mutating func number() -> UInt64 { seen > 30 ? seen - below(30) : below(seen + 1) }
    private mutating func attachment() -> AttachmentID {
        guard !known.isEmpty, below(10) > 0 else { return AttachmentID(number()) }
        let (client, attachment) = known[Int(below(UInt64(known.count)))]
        if clients.contains(client) { asker = client }
        return attachment
    }
    private mutating func lockNumber() -> LockNumber {
        guard let (client, number) = locks.last, below(4) > 0 else { return LockNumber(number()) }
        if clients.contains(client) { asker = client }
        return number
    }
    private mutating func fenceNumber() -> FenceID {
        guard below(6) > 0, !pending.isEmpty else { return FenceID(number()) }
        return pending.removeFirst()
    }
    private mutating func interval() -> Interval { .milliseconds(below(3000)) }
    private mutating func rights() -> Rights { Rights(rawValue: UInt8(truncatingIfNeeded: below(256) | below(256))) }
    private mutating func backing() -> Backing {
        inode += 1
        return Backing(inode: below(10) == 0 ? 100 : inode, byteCount: 4096, provesRelease: below(4) > 0)
    }
    private mutating func fence() -> FenceTerms {
        FenceTerms(
            timeline: UInt32(below(2)), point: below(50), usage: one(of: Usage.self),
            kind: one(of: FenceTerms.Kind.self),
            within: interval())
    }
    private mutating func generation(_ id: BufferID) -> Generation { Generation(below(3) == 0 ? 1 : 1 + below(3)) }

    private mutating func request() -> Request {
        let id = buffer()
        switch below(36) {
        case 0...2:
            let name = below(2) == 0 ? "n\(below(3))" : nil
            return .register(id, Registration(backing: backing(), kept: one(of: Kept.self), name: name))
        case 3 where below(3) == 0: return .list(from: UInt32(below(3)))
        case 3 where below(3) == 0: return .attachNamed("n\(below(3))", uid: nil, AttachTerms(.read))
        case 3: return below(4) == 0 ? .withdraw(id) : .lookup("n\(below(3))", uid: nil)
        case 4: return .name(id, "n\(below(3))")
        case 5: return .share(id, Share(below(2) == 0 ? .everyone : .group(UInt32(below(3))), rights()))
        case 6:
            return .makeToken(
                token(), id,
                TokenTerms(
                    rights(), uses: below(2) == 0 ? 3 : nil, lasts: below(2) == 0 ? interval() : nil,
                    parent: below(2) == 0 ? token() : nil))
        case 7: return .withdrawToken(token())
        case 8: return .inspect(id, token: token())
        case 9...14:
            return .attach(
                id,
                AttachTerms(
                    below(2) == 0 ? .read : .readWrite, below(6) == 0 ? .pinned : .movable,
                    lease: below(4) == 0 ? interval() : nil, token: below(2) == 0 ? token() : nil))
        case 15: return .map(attachment())
        case 16: return .detach(attachment())
        case 17: return below(3) == 0 ? .pin(attachment()) : .unpin(attachment())
        case 18: return .renew(attachment(), lease: interval())
        case 19, 20: return .beginAccess(attachment(), generation(id), .read)
        case 21: return .endAccess(attachment())
        case 22, 23:
            return .beginMove(
                id, generation(id),
                MoveTerms(
                    within: interval(), late: one(of: MoveTerms.Late.self), copier: one(of: MoveTerms.Copier.self),
                    token: token()))
        case 24: return .acknowledge(attachment(), generation(id), ending: below(2) == 0 ? fence() : nil)
        case 25: return .refuseMove(attachment(), generation(id))
        case 26: return .commitMove(id, generation(id), backing(), fence: below(2) == 0 ? fence() : nil)
        case 27:
            return below(3) == 0
                ? .abortMove(id, generation(id)) : .commitMove(id, generation(id), backing(), fence: nil)
        case 28:
            return .revoke(
                id,
                RevokeTerms(
                    below(3) == 0 ? .everyone : .attachment(attachment()), within: interval(), isFinal: below(2) == 0,
                    cutsOff: below(2) == 0))
        case 29: return .acknowledgeRevoke(attachment())
        case 30: return .restore(attachment())
        case 31: return .reserve(attachment(), slots: UInt32(below(4)))
        case 32: return .addFence(attachment(), fence(), lock: below(4) == 0 ? lockNumber() : nil)
        case 33:
            return switch below(3) {
            case 0: .snapshot(attachment(), .read)
            case 1: .renewFence(attachment(), timeline: UInt32(below(3)), within: interval())
            default: .wait(attachment(), one(of: Usage.self), within: interval())
            }
        case 34: return .lock([id, buffer()], within: interval(), lasting: interval())
        default: return .unlock(lockNumber())
        }
    }

    /// Everyone dies, every count comes back: nothing may be left.
    mutating func tearDown() -> [String] {
        var problems: [String] = []
        var effects = Effects()
        for client in clients { registry.observe(.clientDied(client), at: now, into: &effects) }
        problems += registry.problems()
        return problems
    }
}

@Suite("Random steps")
struct RandomStepTests {
    @Test("after every step the tables agree with each other", arguments: 0..<20 as Range<UInt64>)
    func consistent(seed: UInt64) {
        var steps = RandomSteps(seed: seed)
        for _ in 0..<400 {
            let problems = steps.step()
            guard problems.isEmpty else {
                Issue.record("\(problems)\n\(steps.history.suffix(60).joined(separator: "\n"))")
                return
            }
        }
        #expect(steps.tearDown().isEmpty)
    }
}
