// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
public import DMABufSystem

/// A reader of a stream of frames: see ``PoolName``. It begins with the newest frame that is whole, and then takes one
/// after the other.
///
/// What it has taken has a read fence of its own, so nobody writes into it, until ``letGo(_:_:until:)``; the last one
/// taken stays so until the next is, and therefore no frame is missed. Who lets nothing go stops the producer.
public struct PoolReader: ~Copyable {
    public let name: String
    public var count: Int { members.count }
    /// How the producer ended, once all its frames were taken.
    public private(set) var end: End?
    private var heard: End?

    public enum End: Equatable, Sendable {
        case inGoodOrder
        case died
    }

    /// A frame that is whole, and stays so until it is let go.
    public struct Frame: Sendable {
        /// Which buffer of the pool.
        public let index: Int
        public let attached: AttachedBuffer
        public var buffer: DescribedBuffer { attached.buffer }
    }

    private var members: [Member]
    private var next: Int
    private var last: Int?
    private var point: UInt64 = 0
    /// A device will have the memory: for as long as it is taken it cannot move.
    private let pins: Bool

    private struct Member {
        var attached: AttachedBuffer
        var promise: PoolPromise?
        var isWanted = false
    }

    /// Attaches to all buffers of a pool. With `pins`, a device reads what is taken.
    ///
    /// Throws ``Refusal/noSuchBuffer`` where there is no such pool.
    public init(
        _ name: String, of user: UInt32? = nil, pins: Bool, in registry: inout RegistryConnection,
        until deadline: Deadline
    ) throws(RegistryError) {
        let members = try Self.attach(name, user, &registry, until: deadline)
        next = try Self.newest(of: members, &registry, until: deadline)
        self.members = members
        self.name = name
        self.pins = pins
    }

    private static func attach(
        _ name: String, _ user: UInt32?, _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) -> [Member] {
        var members: [Member] = []
        while members.count < PoolName.limit {
            do throws(RegistryError) {
                let attached = try registry.attach(
                    PoolName.buffer(members.count, of: name), of: user, AttachTerms(.read), until: deadline)
                members.append(Member(attached: attached))
            } catch {
                guard case .ruledOut(.noSuchBuffer) = error, !members.isEmpty else { throw error }
                break
            }
        }
        return members
    }

    /// The buffers, in the order of frames.
    public var identifiers: [BufferID] { members.map(\.attached.id) }

    /// The present memory of each buffer, as far as it is known.
    public var buffers: [DescribedBuffer] { members.map(\.attached.buffer) }

    /// It is whole, and its successor is not. Before the first frame none is, and the first one will be in the first buffer.
    private static func newest(
        of members: [Member], _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) -> Int {
        var isPending: [Bool] = []
        for member in members {
            isPending.append(try registry.state(of: member.attached, .write, until: deadline) == .pending)
        }
        return members.indices.first { !isPending[$0] && isPending[($0 + 1) % members.count] } ?? 0
    }

    /// Takes the next frame, as soon as it is whole. nil at the deadline, and when the producer has ended and all its
    /// frames were taken: then ``end`` says how it ended.
    ///
    /// Waits in one request: a signal is seen at the deadline and not before, so ask often.
    public mutating func take(
        _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) -> Frame? {
        while end == nil {
            let attached = members[next].attached
            do throws(RegistryError) {
                _ = try registry.waitForPromises(attached, .write, until: deadline)
                if let frame = try takeWhole(&registry, until: .after(registry.answersWithin)) { return frame }
            } catch {
                switch error {
                // A move holds the lock's grant up, or this process was stopped under the lock.
                case .ruledOut(.timedOut), .ruledOut(.lockTimedOut), .ruledOut(.lockEnded): return nil
                // A promise that nobody knows of ends by itself.
                case let other where other.isOfRestart: return nil
                case .ruledOut(.stale), .ruledOut(.revoked), .ruledOut(.moving):
                    members[next].attached = try registry.map(
                        attached.attachment, until: .after(registry.answersWithin))
                default: throw error
                }
            }
            if deadline.hasPassed { return nil }
        }
        return nil
    }

    private enum Found {
        case takenBack, damaged, ended
        case whole(AttachedBuffer, PoolPromise)
    }

    /// Under the buffer's lock, where nothing changes.
    private mutating func takeWhole(
        _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) -> Frame? {
        point += 1
        let (attached, pins, point) = (members[next].attached, pins, point)
        let found = try registry.underLock(on: [attached.id], until: deadline) {
            (registry, lock) throws(RegistryError) -> Found in
            switch try registry.state(of: attached, .write, until: deadline) {
            case .pending: return .takenBack
            case .error: return .damaged
            case .ownerDead: return .ended
            case .ok: break
            }
            let present =
                try pins
                ? registry.pinPresent(attached, until: deadline) : registry.present(attached, until: deadline)
            let promise = try PoolPromise(
                .read, on: present, point: point, lock: lock, &registry, until: deadline)
            return .whole(present, promise)
        }
        switch found {
        case .takenBack: break
        case .damaged: next = (next + 1) % members.count
        case .ended:
            try hear(&registry)
            end = heard ?? .died
        case .whole(let present, let promise): return try take(present, promise, &registry, until: deadline)
        }
        return nil
    }

    private mutating func take(
        _ present: AttachedBuffer, _ promise: PoolPromise, _ registry: inout RegistryConnection,
        until deadline: Deadline
    ) throws(RegistryError) -> Frame {
        let (index, before) = (next, last)
        members[index] = Member(attached: present, promise: promise, isWanted: true)
        next = (index + 1) % members.count
        last = index
        if let before, before != index, !members[before].isWanted {
            try release(before, &registry, until: deadline)
        }
        return Frame(index: index, attached: present)
    }

    /// The work with a frame has ended. The last one that was taken is kept until the next one is.
    public mutating func letGo(
        _ index: Int, _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) {
        members[index].isWanted = false
        if index != last { try release(index, &registry, until: deadline) }
    }

    private mutating func release(
        _ index: Int, _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) {
        if pins { try registry.ask(.unpin(members[index].attached.attachment), until: deadline) }
        try members[index].promise?.keep()
        members[index].promise = nil
    }

    /// Renews the promises of what takes long, and hears what the registry says. To be called now and then.
    public mutating func renew(_ registry: inout RegistryConnection, until deadline: Deadline) throws(RegistryError) {
        for index in members.indices where members[index].promise != nil {
            point += 1
            try members[index].promise?.renew(point, &registry, until: deadline)
        }
        try hear(&registry)
    }

    private mutating func hear(_ registry: inout RegistryConnection) throws(RegistryError) {
        let mine = Set(members.map(\.attached.attachment))
        // Those of others are for whoever asks for them.
        func isMine(_ notice: Notice) -> Bool { notice.attachment.map(mine.contains) ?? false }
        while let notice = try registry.nextNotice(until: .now(), where: isMine) {
            switch notice {
            case .withdrawn: heard = .inGoodOrder
            case .ownerGone: if heard == nil { heard = .died }
            case .revoke: throw .local(DMABufError(.refused, "\(name): its owner wants it back"))
            default: break
            }
        }
    }

    /// Lets everything go: the work with all frames has ended.
    public consuming func detach(_ registry: inout RegistryConnection, until deadline: Deadline) throws(RegistryError) {
        // Else the promises would end with this process, as those of one who died: so all of them first.
        for member in members { try? member.promise?.keep() }
        try registry.askAll(members.map { .detach($0.attached.attachment) }, until: deadline)
    }
}

extension RegistryConnection {
    /// The present generation, mapped where it is another. Under the buffer's lock it stays so.
    fileprivate mutating func present(
        _ attached: AttachedBuffer, until deadline: Deadline
    ) throws(RegistryError) -> AttachedBuffer {
        do throws(RegistryError) {
            let access = try beginAccess(attached, .read, until: deadline)
            _ = try endAccess(access, until: deadline)
            return attached
        } catch {
            guard error.isOfAnotherGeneration else { throw error }
            return try map(attached.attachment, until: deadline)
        }
    }
}
