// SPDX-License-Identifier: Apache-2.0

package import DMABufModel

/// One run: a registry, a world around it, and a checker between them.
package struct Simulation: Sendable {
    /// What stands between the rules and the checks: nothing, but in a test that shows that the checks can fail.
    package typealias Tampering = @Sendable (_ step: Int, [Effect]) -> [Effect]

    /// Hears of each step, by its number, before it is taken: if it ends the process, this is what is left.
    package typealias Watching = @Sendable (_ taken: Int) -> Void

    /// A step as it was carried out.
    package struct Record: Sendable {
        package var now: Instant
        package var act: Act
        /// The client that a connection was given.
        package var client: ClientID?
        /// Why it was given none.
        package var refusal: Refusal?
        package var effects: [Effect]
    }

    package private(set) var checker: Checker
    package private(set) var records: [Record] = []
    package var peers: [ClientID] { checker.world.peers.map(\.id) }
    private let plan: Plan
    private var registry: Registry
    private var effects = Effects(capacity: 256)
    private var now = Instant(nanoseconds: 1_000_000)
    private let isRecording: Bool
    /// The registry's own walk over everything is made after every so many steps; 0 for never.
    private let stride: Int
    private let tampering: Tampering?
    private let watching: Watching?
    /// The step that is not taken any more.
    private let fatal: Int?

    package init(
        _ plan: Plan, stride: Int = 1, isRecording: Bool = false, stoppingBefore fatal: Int? = nil,
        tampering: Tampering? = nil, watching: Watching? = nil
    ) {
        self.plan = plan
        self.fatal = fatal
        self.watching = watching
        self.stride = stride
        self.isRecording = isRecording
        self.tampering = tampering
        registry = Registry(limits: plan.limits)
        checker = Checker(plan.limits)
    }

    /// All steps, and then the end of everything.
    package mutating func run() throws(Violation) {
        for step in plan.steps {
            var random = RandomWords(seed: ~step.word)
            // Usually the timer is served in time; now and then a request is quicker.
            passTime(&random)
            if isDue, !random.oneIn(8) { try take(.expire, step.index) }
            var chooser = Chooser(step, in: checker.world)
            guard let act = chooser.act(plan.weights) else { continue }
            if act == .expire { wakeUp(&random) }
            if act.mayComeLate, random.oneIn(3) { now = now + .milliseconds(UInt64(random.below(900))) }
            if isDue, act.comesAfterWhatIsDue { try take(.expire, step.index) }
            // Whoever asked may have been cut off by that.
            if case .request(let peer, _, _) = act, !checker.world.peers[peer].isAlive { continue }
            try take(act, step.index)
            if stride > 0, step.index % stride == 0 { try walk() }
        }
        try walk()
        try tearDown()
    }

    private var isDue: Bool { registry.nextDeadline.map { $0 <= now } ?? false }

    private mutating func passTime(_ random: inout RandomWords) {
        let interval: UInt64 =
            switch random.below(16) {
            case 0: UInt64(random.below(400)) * 1_000_000
            case 1...6: UInt64(random.below(4000)) * 1_000
            default: UInt64(random.below(1000))
            }
        now = now + Interval(nanoseconds: interval)
    }

    /// To the next deadline, to the nanosecond, a little after it, or when others have passed, too.
    private mutating func wakeUp(_ random: inout RandomWords) {
        guard let next = registry.nextDeadline, next > now else { return }
        now =
            switch random.below(6) {
            case 0: next + .milliseconds(UInt64(random.below(900)))
            case 1: next + .milliseconds(UInt64(random.below(30)))
            default: next
            }
    }

    private mutating func take(_ act: Act, _ step: Int) throws(Violation) {
        checker.tally.steps += 1
        checker.begin(act, step, at: now, isLate: isDue)
        effects.removeAll()
        watching?(checker.tally.steps)
        if checker.tally.steps == fatal {
            note(act, nil, nil)
            throw Violation(.neverTraps, "the last step below does")
        }
        var client: ClientID?
        var refusal: Refusal?
        switch act {
        case .connect(let identity):
            do throws(Refusal) {
                client = try registry.connect(identity, at: now, into: &effects)
            } catch {
                refusal = error
            }
        case .request(let peer, let number, let request):
            registry.handle(
                request, numbered: number, from: checker.world.peers[peer].id, at: now, into: &effects)
        case .observe(let observation): registry.observe(observation, at: now, into: &effects)
        case .expire: registry.expire(at: now, into: &effects)
        }
        if isRecording { note(act, client, refusal) }
        if let client { try checker.connected(client) }
        if let refusal { checker.refused(connection: refusal) }
        try checker.follow(tampering?(step, effects.list) ?? effects.list)
        try checker.after(registry)
        if act == .expire {
            let isLate = registry.nextDeadline.map { $0 < now } ?? false
            try expect(!isLate, .waitsEnd, "due before \(now.nanoseconds) and left so")
        }
    }

    private mutating func note(_ act: Act, _ client: ClientID?, _ refusal: Refusal?) {
        records.append(Record(now: now, act: act, client: client, refusal: refusal, effects: effects.list))
    }

    private func walk() throws(Violation) {
        guard stride > 0 else { return }
        let problems = registry.problems()
        try expect(problems.isEmpty, .consistent, problems.joined(separator: "; "))
    }
}

/// The end of everything: all buffers are withdrawn, all clients die, and the world answers what it is asked until nothing
/// is left to ask.
extension Simulation {
    private static let last = 1 << 40

    private mutating func tearDown() throws(Violation) {
        try withdrawKept()
        for peer in checker.world.peers.indices where checker.world.peers[peer].isAlive {
            if isDue { try take(.expire, Self.last) }
            guard checker.world.peers[peer].isAlive else { continue }
            try take(.observe(.clientDied(checker.world.peers[peer].id)), Self.last)
        }
        for _ in 0..<4096 {
            if let look = checker.world.looks.first {
                try observeRelease(look)
            } else if let next = registry.nextDeadline {
                now = max(now, next)
                try take(.expire, Self.last)
            } else {
                break
            }
        }
        try walk()
        try checker.atTheEnd(registry)
    }

    private mutating func observeRelease(_ look: Look) throws(Violation) {
        try take(.observe(.count(look.buffer, look.generation, .atBaseline)), Self.last)
        // Memory without an oracle is not released by a count; that it cannot tell is what releases it.
        try take(.observe(.count(look.buffer, look.generation, .untold)), Self.last)
    }

    /// What the registry keeps goes when someone of the owner's uid says so.
    private mutating func withdrawKept() throws(Violation) {
        for buffer in checker.world.buffers.indices where !checker.world.buffers[buffer].isEnded {
            guard checker.world.buffers[buffer].kept == .registry else { continue }
            if isDue { try take(.expire, Self.last) }
            let uid = checker.world.peers[checker.world.buffers[buffer].owner].identity.uid
            var peer = checker.world.peers.firstIndex { $0.isAlive && $0.identity.uid == uid }
            if peer == nil {
                if let victim = checker.world.peers.first(where: { $0.isAlive }) {
                    try take(.observe(.clientDied(victim.id)), Self.last)
                }
                try take(.connect(Identity(uid: uid, pid: 1)), Self.last)
                peer = checker.world.peers.indices.last
            }
            guard let peer else { continue }
            let id = checker.world.buffers[buffer].id
            try take(.request(peer: peer, RequestNumber(checker.world.nextRequest), .withdraw(id)), Self.last)
        }
    }
}
