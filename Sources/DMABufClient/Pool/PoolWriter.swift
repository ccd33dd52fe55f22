// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
public import DMABufSystem

/// The producer of a stream of frames: see ``PoolName`` for what it promises its readers.
///
/// It counts frames: ``take(_:until:)`` gives the buffer for the next one, ``finish()`` says that the oldest that is under
/// way is whole, and ``announce(_:until:)`` tells the readers, as soon as that is allowed.
public struct PoolWriter: ~Copyable {
    public let name: String
    public var count: Int { members.count }
    /// Frames for which a buffer was taken, that are whole, and that readers were told of.
    public private(set) var taken: UInt64 = 0
    public private(set) var finished: UInt64 = 0
    public private(set) var announced: UInt64 = 0

    private var members: [Member]
    private var point: UInt64 = 0
    /// Its memory is the device's own: it can never move.
    private let isFixed: Bool

    private struct Member {
        let id: BufferID
        var attached: AttachedBuffer
        var promise: PoolPromise?
        var isDamaged = false
    }

    /// Registers the buffers, two at least, without names yet. With `fixed`, their memory can never be another: they stay
    /// pinned.
    public init(
        _ buffers: [DescribedBuffer], named name: String, fixed: Bool, in registry: inout RegistryConnection,
        until deadline: Deadline
    ) throws(RegistryError) {
        members = try Self.register(buffers, &registry, until: deadline)
        self.name = name
        isFixed = fixed
    }

    private static func register(
        _ buffers: [DescribedBuffer], _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) -> [Member] {
        guard (2...PoolName.limit).contains(buffers.count) else {
            throw .local(DMABufError(.invalid, "a pool has 2 to \(PoolName.limit) buffers"))
        }
        var members: [Member] = []
        for buffer in buffers {
            let (id, _) = try registry.register(buffer, until: deadline)
            let attached = try registry.attach(id, AttachTerms(.readWrite), until: deadline)
            members.append(Member(id: id, attached: attached))
        }
        return members
    }

    /// The buffers, in the order of frames.
    public var buffers: [BufferID] { members.map(\.id) }

    /// Lets others find it, once all buffers have been taken: from the last to the first, so that who finds the first
    /// finds them all.
    public func publish(
        _ registry: inout RegistryConnection, sharedWith shares: [Share] = [], until deadline: Deadline
    ) throws(RegistryError) {
        for (index, member) in members.enumerated().reversed() {
            for share in shares { try registry.ask(.share(member.id, share), until: deadline) }
            try registry.ask(.name(member.id, PoolName.buffer(index, of: name)), until: deadline)
        }
        try registry.ask(.name(members[0].id, name), until: deadline)
    }

    /// The index of the buffer that the next frame is for.
    public var next: Int { Int(taken % UInt64(members.count)) }

    /// Takes the buffer for the next frame: pins it, and promises a write. Its memory is the present generation's. nil
    /// while readers have it, whether the registry knows them or the kernel alone, while it moves, and while it has the only
    /// whole frame: try again later.
    public mutating func take(
        _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) -> DescribedBuffer? {
        let size = UInt64(members.count)
        if taken >= size {
            // The frame that it still has: told, and not the only one.
            guard announced > 1, taken - size < announced - 1 else { return nil }
        }
        let index = next
        point += 1
        let (attached, point, isFixed) = (members[index].attached, point, isFixed)
        let found: (AttachedBuffer, PoolPromise)?
        do throws(RegistryError) {
            found = try registry.underLock(on: [attached.id], until: min(deadline, .after(.milliseconds(500)))) {
                (registry, lock) throws(RegistryError) in
                guard try registry.state(of: attached, .read, until: deadline) != .pending else { return nil }
                let pinned = try registry.pinPresent(attached, until: deadline)
                if isFixed, pinned.generation != attached.generation {
                    throw .ruledOut(.stale(current: pinned.generation))
                }
                guard try !pinned.isUsedByKernel else {
                    if !isFixed { try registry.ask(.unpin(pinned.attachment), until: deadline) }
                    return nil
                }
                return (
                    pinned,
                    try PoolPromise(.write, on: pinned, point: point, lock: lock, &registry, until: deadline)
                )
            }
        } catch {
            switch error {
            // A move is under way, or a reader is about to take it; or the registry was restarted, or this process stopped under
            // the lock, and it is all to be done again.
            case .ruledOut(.lockTimedOut), .ruledOut(.lockEnded): return nil
            case let other where other.isOfRestart: return nil
            default: throw error
            }
        }
        guard let (pinned, promise) = found else { return nil }
        members[index].attached = pinned
        members[index].promise = promise
        taken += 1
        return pinned.buffer
    }

    /// The oldest frame that is under way is whole, or damaged: then readers pass over it. Returns the index of its buffer.
    /// Traps where none is: see ``isUnderWay``.
    @discardableResult
    public mutating func finish(isDamaged: Bool = false) -> Int {
        precondition(finished < taken, "no frame is under way")
        let index = Int(finished % UInt64(members.count))
        members[index].isDamaged = isDamaged
        finished += 1
        return index
    }

    /// Tells the readers of frames that are whole, as long as another buffer is taken.
    public mutating func announce(_ registry: inout RegistryConnection, until deadline: Deadline) throws(RegistryError)
    {
        while announced < finished, taken > announced + 1 {
            let index = Int(announced % UInt64(members.count))
            if members[index].isDamaged {
                do throws(RegistryError) {
                    try members[index].promise?.fail(&registry, until: deadline)
                } catch {
                    guard error.isOfRestart else { throw error }
                    return
                }
            }
            try members[index].promise?.keep()
            members[index].promise = nil
            if !isFixed { try registry.ask(.unpin(members[index].attached.attachment), until: deadline) }
            announced += 1
        }
    }

    /// Whether the device has a buffer.
    public var isUnderWay: Bool { finished < taken }

    /// Renews the promises of what takes long. To be called now and then.
    public mutating func renew(_ registry: inout RegistryConnection, until deadline: Deadline) throws(RegistryError) {
        for index in members.indices where members[index].promise != nil {
            point += 1
            try members[index].promise?.renew(point, &registry, until: deadline)
        }
    }

    /// Ends the stream in good order. Readers can still read what they were told of.
    public consuming func end(_ registry: inout RegistryConnection, until deadline: Deadline) throws(RegistryError) {
        try registry.askAll(members.map { .withdraw($0.id) }, until: deadline)
    }
}

extension AttachedBuffer {
    /// Whether who writes to it now would have to wait for somebody of whom only the kernel knows.
    fileprivate var isUsedByKernel: Bool {
        get throws(RegistryError) {
            do throws(DMABufError) { return try hasPendingKernelFences(before: .write) } catch { throw .local(error) }
        }
    }
}

extension RegistryConnection {
    /// Each of them, whatever becomes of those before; throws what went wrong first.
    mutating func askAll(_ requests: [Request], until deadline: Deadline) throws(RegistryError) {
        var first: RegistryError?
        for request in requests {
            do throws(RegistryError) { try ask(request, until: deadline) } catch { first = first ?? error }
        }
        if let first { throw first }
    }

    /// How the work of a class, or of those below, stands, as far as the registry knows.
    package mutating func state(
        of attached: AttachedBuffer, _ usage: Usage, until deadline: Deadline
    ) throws(RegistryError) -> FenceStatus {
        let answer = try ask(.snapshot(attached.attachment, usage), until: deadline)
        guard case .snapshot(let status, _) = answer else { return .ok }
        return status
    }

    /// Pins the present generation, which it maps where that is another. Under the buffer's lock nothing moves.
    mutating func pinPresent(
        _ attached: AttachedBuffer, until deadline: Deadline
    ) throws(RegistryError) -> AttachedBuffer {
        do throws(RegistryError) {
            try ask(.pin(attached.attachment), until: deadline)
            return attached
        } catch {
            guard error.isOfAnotherGeneration else { throw error }
        }
        let present = try map(attached.attachment, until: deadline)
        try ask(.pin(present.attachment), until: deadline)
        return present
    }
}

extension RegistryError {
    /// Whether mapping the present generation is the answer.
    var isOfAnotherGeneration: Bool {
        switch self {
        case .ruledOut(.stale), .ruledOut(.revoked): true
        default: false
        }
    }
}
