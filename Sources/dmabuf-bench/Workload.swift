// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// A registry that is full, and what its clients ask of it per frame: access, a fence, a look, a lock, a new importer, and
/// now and then a move.
struct Workload {
    struct Figure {
        var buffers: Int
        var nanoseconds: Double
    }

    private var registry = Registry()
    private var effects = Effects(capacity: 256)
    private var clients: [ClientID] = []
    private var attachments: [(id: AttachmentID, client: ClientID, buffer: Int)] = []
    private var points: [UInt64]
    private var generations: [Generation]
    private var now = Instant(nanoseconds: 1_000_000)
    private var number: UInt64 = 0
    private var inode: UInt64 = 1_000_000
    private let buffers: Int

    init(buffers: Int, clients count: Int) {
        self.buffers = buffers
        points = Array(repeating: 0, count: buffers)
        generations = Array(repeating: .first, count: buffers)
        for index in 0..<count { connect(index) }
        for index in 0..<buffers { register(index) }
    }

    private mutating func connect(_ index: Int) {
        do throws(Refusal) {
            clients.append(try registry.connect(Identity(uid: 1000, pid: Int32(index)), at: now, into: &effects))
        } catch {
            fatalError("refused: \(error)")
        }
    }

    private static func id(_ buffer: Int) -> BufferID { BufferID(high: 1, low: UInt64(buffer)) }

    private mutating func register(_ buffer: Int) {
        let owner = clients[buffer % clients.count]
        inode += 1
        _ = ask(.register(Self.id(buffer), Registration(backing: Backing(inode: inode, byteCount: 4096))), owner)
        let importer = clients[(buffer * 7 + 1) % clients.count]
        guard case .attached(let id, _, _) = ask(.attach(Self.id(buffer), AttachTerms(.readWrite)), importer) else {
            fatalError("not attached")
        }
        attachments.append((id, importer, buffer))
    }

    /// One request, and its answer.
    @discardableResult
    private mutating func ask(_ request: Request, _ client: ClientID) -> Answer? {
        number &+= 1
        effects.removeAll()
        registry.handle(request, numbered: RequestNumber(number), from: client, at: now, into: &effects)
        for case .answer(_, _, let answer) in effects.list { return answer }
        return nil
    }

    /// Rounds until about half a second has gone by; the first few make the room that the others use.
    func figure() -> Figure {
        var workload = self
        for round in 0..<2_000 { workload.frame(round) }
        let clock = ContinuousClock()
        let first = workload.number
        let start = clock.now
        var round = 0
        while clock.now - start < .milliseconds(500) {
            for _ in 0..<1_000 {
                workload.frame(round)
                round += 1
            }
        }
        let elapsed = (clock.now - start).components
        let nanoseconds = Double(elapsed.seconds) * 1e9 + Double(elapsed.attoseconds) / 1e9
        return Figure(buffers: buffers, nanoseconds: nanoseconds / Double(workload.number - first))
    }

    /// What one importer asks for one frame.
    private mutating func frame(_ round: Int) {
        now = now + Interval(nanoseconds: 1_000)
        let seen = attachments[(round &* 7919) % attachments.count]
        ask(.beginAccess(seen.id, generations[seen.buffer], .read), seen.client)
        ask(.endAccess(seen.id), seen.client)
        fence(seen.id, seen.client, seen.buffer)
        ask(.snapshot(seen.id, .bookkeep), seen.client)
        if round % 8 == 0 { lock(seen.buffer, seen.client) }
        if round % 16 == 0 { visit(seen.buffer, clients[round % clients.count]) }
        if round % 32 == 0 { move(seen.id, seen.client, seen.buffer) }
    }

    private mutating func fence(_ id: AttachmentID, _ client: ClientID, _ buffer: Int) {
        points[buffer] += 1
        ask(.reserve(id, slots: 1), client)
        let terms = FenceTerms(timeline: 1, point: points[buffer], usage: .write)
        guard case .fenceAdded(let fence) = ask(.addFence(id, terms, lock: nil), client) else { fatalError("no fence") }
        effects.removeAll()
        registry.observe(.fenceEnded(fence, .ok), at: now, into: &effects)
    }

    private mutating func lock(_ buffer: Int, _ client: ClientID) {
        let other = (buffer + 1) % buffers
        let request = Request.lock([Self.id(buffer), Self.id(other)], within: .seconds(1), lasting: .seconds(1))
        if case .locked(let number, _) = ask(request, client) { ask(.unlock(number), client) }
    }

    private mutating func visit(_ buffer: Int, _ client: ClientID) {
        if case .attached(let id, _, _) = ask(.attach(Self.id(buffer), AttachTerms(.read)), client) {
            ask(.detach(id), client)
        }
    }

    /// To new memory and on; the old is back at once.
    private mutating func move(_ id: AttachmentID, _ client: ClientID, _ buffer: Int) {
        let (owner, old) = (clients[buffer % clients.count], generations[buffer])
        inode += 1
        ask(.beginMove(Self.id(buffer), old, MoveTerms(within: .seconds(1))), owner)
        ask(.commitMove(Self.id(buffer), old, Backing(inode: inode, byteCount: 4096), fence: nil), owner)
        generations[buffer] = old.next
        ask(.map(id), client)
        effects.removeAll()
        registry.observe(.count(Self.id(buffer), old, .atBaseline), at: now, into: &effects)
        registry.observe(.delivered(owner, notices: 8), at: now, into: &effects)
        registry.observe(.delivered(client, notices: 8), at: now, into: &effects)
    }
}
