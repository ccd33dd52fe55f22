// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// What lies in a buffer that is raced for: the generation that it belongs to, or 0 once it is given up, and a word for
/// each importer that is at it.
struct Field: ~Copyable {
    static let byteCount = 4096
    private static let importers = 64
    private let page: WritablePage

    init(_ buffer: DescribedBuffer) throws {
        page = try WritablePage(mapping: try buffer.memory[0].duplicateDescriptor(), byteCount: Self.byteCount)
    }

    static func make(_ generation: Generation) throws -> DescribedBuffer {
        let file = try WritablePage.createForPeer(named: "field", byteCount: byteCount)
        let buffer = try DescribedBuffer(.bytes(UInt64(byteCount)), memory: [DMABuffer(adopting: file)])
        try Field(buffer).set(generation.rawValue)
        return buffer
    }

    var stamp: UInt64 { page.words.loadAcquire64(at: 0) }
    func set(_ stamp: UInt64) { page.storeRelease(stamp, at: 0) }

    func enter(_ importer: Int) { page.addSequential(UInt64(1), at: 8 + importer * 8) }
    func leave(_ importer: Int) { page.addSequential(UInt64.max, at: 8 + importer * 8) }
    /// How many are at it.
    var inside: UInt64 {
        (0..<Self.importers).reduce(0) { $0 + page.words.loadAcquire64(at: 8 + $1 * 8) }
    }
}

/// What importers have met, all together.
final class Tally: Sendable {
    struct Counts: Equatable {
        var accesses = 0
        /// Ended well, and were not on the memory that they thought.
        var unawares = 0
        /// Ended as lost.
        var lost = 0
        var maps = 0
    }

    private let counts = Mutex(Counts())
    var value: Counts { counts.withLock { $0 } }
    func add(_ change: @Sendable (inout Counts) -> Void) { counts.withLock { change(&$0) } }
}

/// One importer: it attaches, and accesses again and again until the buffer is over.
struct Importer: ~Copyable {
    private var connection: RegistryConnection
    private var attached: AttachedBuffer
    private var field: Field
    private let index: Int
    private let tally: Tally

    init(_ socket: String, _ index: Int, _ tally: Tally) throws {
        var connection = try RegistryConnection(at: socket, until: .after(.seconds(30)))
        let attached = try connection.attach("field", AttachTerms(.readWrite), until: .after(.seconds(30)))
        let field = try Field(attached.buffer)
        self.field = field
        self.connection = connection
        self.attached = attached
        self.index = index
        self.tally = tally
    }

    /// `dawdling`: now and then it stays inside for so long.
    mutating func run(dawdling: Duration? = nil) throws {
        var random = SplitMix64(seed: UInt64(index))
        while true {
            do throws(RegistryError) {
                let draw = random.next()
                try once(draw % 64 == 0 ? dawdling : nil, isLong: draw % 4 == 1)
            } catch {
                switch error {
                case .ruledOut(.noSuchAttachment), .ruledOut(.bufferEnded), .ruledOut(.noSuchBuffer): return
                case .ruledOut(.stale), .ruledOut(.revoked): guard try mapAgain() else { return }
                default: throw error
                }
            }
        }
    }

    /// A long one lasts until the mover would have been told that everyone is out.
    private mutating func once(_ dawdling: Duration?, isLong: Bool) throws(RegistryError) {
        let deadline = Deadline.after(.seconds(60))
        let ongoing = try connection.beginAccess(attached, .readWrite, until: deadline)
        field.enter(index)
        let first = field.stamp
        if let dawdling { Clock.sleep(dawdling) }
        if isLong {
            let end = Deadline.after(.microseconds(300))
            while !end.hasPassed {}
        }
        let isGood = first == attached.generation.rawValue && field.stamp == first
        field.leave(index)
        let state = try connection.endAccess(ongoing, until: deadline)
        tally.add {
            $0.accesses += 1
            if state == .ok, !isGood { $0.unawares += 1 }
            if state != .ok { $0.lost += 1 }
        }
    }

    private mutating func mapAgain() throws -> Bool {
        do throws(RegistryError) {
            attached = try connection.map(attached.attachment, until: .after(.seconds(60)))
        } catch {
            switch error {
            case .ruledOut(.noSuchAttachment), .ruledOut(.bufferEnded): return false
            default: throw error
            }
        }
        // Nobody else takes them, and there is room for some thousands.
        while try connection.nextNotice(until: .now()) != nil {}
        field = try Field(attached.buffer)
        tally.add { $0.maps += 1 }
        return true
    }
}

/// Who owns the field, and moves it on and on.
struct RacingMover: ~Copyable {
    private var owner: RegistryConnection
    private let id: BufferID
    private var generation = Generation.first
    private var buffer: DescribedBuffer
    private let deadline = Deadline.after(.seconds(600))
    private(set) var committed = 0
    private(set) var aborted = 0
    /// Who was at memory that had been given up to be moved.
    private(set) var caught: UInt64 = 0

    init(_ socket: String) throws {
        var owner = try RegistryConnection(at: socket, until: .after(.seconds(30)))
        let buffer = try Field.make(.first)
        let registered = try owner.register(buffer, kept: .owner, name: "field", until: .after(.seconds(30)))
        self.buffer = buffer
        self.id = registered.0
        self.owner = owner
    }

    mutating func end() throws { try owner.ask(.withdraw(id), until: deadline) }

    /// Moves it once, or gives the move up when everyone has let go.
    mutating func move(within: Interval, late: MoveTerms.Late, givingUp: Bool = false) throws {
        while true {
            do throws(RegistryError) {
                try owner.ask(.beginMove(id, generation, MoveTerms(within: within, late: late)), until: deadline)
                break
            } catch {
                // Someone has not let the generation before last go.
                guard case .ruledOut(.twoInQuarantine) = error else { throw error }
                Clock.sleep(.milliseconds(1))
            }
        }
        let next = try owner.next(until: deadline) {
            switch $0 {
            case .readyToCopy, .moveEnded: true
            default: false
            }
        }
        guard case .readyToCopy = next else { return aborted += 1 }
        let old = try Field(buffer)
        if late == .abort { caught += old.inside }
        old.set(0)
        let new = try Field.make(generation.next)
        if late == .abort { caught += old.inside }
        if givingUp {
            old.set(generation.rawValue)
            try owner.ask(.abortMove(id, generation), until: deadline)
            aborted += 1
        } else {
            try owner.commitMove(of: id, from: generation, to: new, until: deadline)
            generation = generation.next
            buffer = new
            committed += 1
        }
        _ = try owner.next(until: deadline) { if case .moveEnded = $0 { true } else { false } }
    }
}

enum Soak {
    /// How many moves a race has: a few thousand, or what the environment says.
    static let moves = OwnProcess.environment("DMABUF_SHARE_MOVES").flatMap { Int($0) } ?? 1500
}
