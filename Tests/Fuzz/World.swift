// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufScenario
import DMABufWire
import Glibc

/// A registry with its four clients, and what they have learnt of it.
struct World {
    var registry: Registry
    var now = Instant(nanoseconds: 0)
    /// By place; 0 where nobody is connected.
    var clients = [ClientID](repeating: ClientID(0), count: 4)
    var identities = [Identity](repeating: Self.identities[0], count: 4)
    var attachments: [(id: AttachmentID, place: Int)] = []
    var locks: [(number: LockNumber, place: Int)] = []
    var fences: [FenceID] = []
    var owners: [BufferID: Identity] = [:]
    var movers: [BufferID: Int] = [:]
    var looks: [(BufferID, Generation)] = []
    var effects = Effects()
    var requests: UInt64 = 0
    var inode: UInt64 = 0
    var registered: UInt64 = 0
    /// Reused by every datagram.
    var bytes: [UInt8] = []
    var room = Wire.roomForMessage
    /// Told what the rules send; for seeds.
    var onSend: ((Envelope) -> Void)?

    /// Numbers of buffers and of tokens are 1...8, so that they meet.
    static let numberCount = 8
    static let identities: [Identity] = [
        Identity(uid: 1000, pid: 1), Identity(uid: 1001, gids: [44], pid: 2), Identity(uid: 1002, gids: [44], pid: 3),
        Identity(uid: Identity.overflowUID, pid: 4),
    ]

    /// Small, so that they are met.
    static let limits: Limits = {
        var limits = Limits()
        limits.buffers = 24
        limits.bytes = 1 << 18
        limits.descriptors = 48
        limits.pinnedBytes = 1 << 16
        limits.attachments = 64
        limits.quarantinedBytes = 1 << 17
        limits.notices = 256
        limits.clients = 5
        limits.noticesPerClient = 24
        limits.fencesPerBuffer = 8
        limits.waitsPerClient = 4
        limits.buffersPerLock = 4
        limits.tokensPerBuffer = 4
        limits.sharesPerBuffer = 3
        limits.namesPerBuffer = 2
        limits.delegationDepth = 2
        return limits
    }()

    init() { registry = Registry(limits: Self.limits) }

    /// Prints every step as a scenario has it, when set in the environment.
    static let isTold = getenv("FUZZ_STORY") != nil

    mutating func play(_ start: consuming Input) {
        var input = start
        if input.byte() & 1 != 0 { self = Self.populated }
        while !input.isAtEnd { step(&input) }
    }

    private mutating func step(_ input: inout Input) {
        let control = input.byte()
        guard let kind = StepKind(rawValue: control & 7) else { return }
        let place = Int(control >> 3) & 3
        let isRight = control & StepKind.rightClient != 0
        switch kind {
        case .datagram: if let message = datagram(&input) { take(message, from: place, isRight) }
        case .message: if let message = message(&input) { take(message, from: place, isRight) }
        case .connect: connect(place, Self.identities[Int(input.byte()) % Self.identities.count])
        case .time: pass(input.byte(), UInt64(input.byte()))
        case .count: observe(.count(buffer(input.byte()), generation(input.byte()), count(input.byte())))
        case .copy: copied(buffer(input.byte()), generation(input.byte()), input.byte())
        case .fence:
            let fence = known(FenceID(UInt64(input.byte())), in: fences)
            observe(.fenceEnded(fence, ended(input.byte())))
        case .client:
            let notices = input.byte()
            observe(notices == 0 ? .clientDied(clients[place]) : .delivered(clients[place], notices: UInt32(notices)))
            if notices == 0 { clients[place] = ClientID(0) }
        }
    }

    private func buffer(_ byte: UInt8) -> BufferID { likely(BufferID(high: 0, low: UInt64(byte))) }
    private func generation(_ byte: UInt8) -> Generation { Generation(UInt64(byte % 8)) }

    private func count(_ byte: UInt8) -> Count {
        switch byte % 4 {
        case 0, 1: .atBaseline
        case 2: .raised(by: UInt32(byte))
        default: .untold
        }
    }

    private func ended(_ byte: UInt8) -> FenceEnd {
        // An errno that is none, too.
        byte < 128 ? .ok : .error(byte == 255 ? .min : Int32(byte) - 130)
    }

    private mutating func copied(_ id: BufferID, _ generation: Generation, _ how: UInt8) {
        if how % 4 == 3 { return observe(.copyFailed(id, generation)) }
        observe(
            .copyDone(id, generation, backing(byteCount: UInt64(how & 3) + 4, descriptors: 1, proves: how & 4 == 0)))
    }

    mutating func connect(_ place: Int, _ identity: Identity) {
        guard clients[place] == ClientID(0) else { return }
        tell(.connect(identity))
        if let client = try? registry.connect(identity, at: now, into: &effects) {
            clients[place] = client
            identities[place] = identity
            if Self.isTold { print("  client \(text(client))") }
        }
    }

    private mutating func pass(_ how: UInt8, _ count: UInt64) {
        let unit = Int(how % 8)
        // A deadline at the far end of the clock is not gone to.
        let next = unit < 4 ? now + Interval(nanoseconds: timeUnits[unit] * count) : registry.nextDeadline ?? now
        now = max(now, min(next, now + .seconds(3600)))
        if how & 0x10 == 0 { expire() }
    }

    mutating func expire() {
        tell(.expire)
        registry.expire(at: now, into: &effects)
        learn(from: 0)
    }

    mutating func observe(_ observation: Observation) {
        tell(.observe(observation))
        registry.observe(observation, at: now, into: &effects)
        learn(from: 0)
    }

    mutating func ask(_ request: Request, from place: Int) {
        requests += 1
        let number = RequestNumber(requests)
        tell(.request(clients[place], number, request))
        registry.handle(request, numbered: number, from: clients[place], at: now, into: &effects)
        learn(from: place, request)
    }

    private func tell(_ step: Step) {
        if Self.isTold { print(text(step, at: now)) }
    }

    func checkTables() {
        let problems = registry.problems()
        if !problems.isEmpty { fail("the tables are inconsistent: \(problems.joined(separator: "; "))") }
    }
}
