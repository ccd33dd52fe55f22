// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
public import DMABufSystem

/// A buffer that a device is to work on, and what it does to it.
public struct WorkPlace: Sendable {
    /// Becomes the present generation.
    public fileprivate(set) var attached: AttachedBuffer
    public let access: DMABufModel.Access

    public init(_ attached: AttachedBuffer, _ access: DMABufModel.Access) {
        self.attached = attached
        self.access = access
    }

    /// Readers of what is written wait for it, and so does who would write over what is read.
    fileprivate var usage: Usage { access.contains(.write) ? .write : .read }
}

/// Which promise it is: the fence of a device's work at a point of one of this client's timelines. Points of a timeline grow.
public struct WorkPoint: Sendable {
    public var timeline: UInt32
    public var point: UInt64
    /// By when the work is done; later, it is an error for those who wait.
    public var within: Duration

    public init(_ point: UInt64, of timeline: UInt32 = 1, within: Duration = .seconds(2)) {
        self.timeline = timeline
        self.point = point
        self.within = within
    }

    /// No promise lasts longer than the longest; see ``LastingPromise`` for work that does.
    fileprivate var interval: Interval {
        min(Interval(within), FenceTerms.longestInterval)
    }
}

extension LastingPromise {
    /// The promise of work that is about to be submitted there.
    public init(of point: WorkPoint, on places: [WorkPlace]) {
        self.init(
            on: places.map(\.attached.attachment), timeline: point.timeline, end: .after(Duration(point.interval)))
    }
}

// Rule: what a device does to buffers is submitted under their locks.
//
// Nobody adds work between what was waited for and what is promised, and nothing moves; so no two lose sight of each
// other, whatever order they come in. What clients have promised is waited for by this process, and before the locks are
// asked for: whoever promised it may need them to end it. The device waits for what drivers have under way.

extension RegistryConnection {
    /// Has a device work on buffers, and tells everyone who is to wait for it.
    ///
    /// In this order: what clients have promised is waited for; all buffers are locked; an access to each begins, on its
    /// present generation; `submit` gives the device its work and returns the fence of that work, nil if it is done; the
    /// fence is promised to all who ask the registry and, if it is a sync_file, to the kernel's reservations; accesses and
    /// locks end. `submit` gets the buffers in the order of `places`, and has to have the device wait for what is in the
    /// kernel's reservations, as ``GPU/copy(_:to:after:until:)`` does. Work of the CPU is an ``EventFence``, done once
    /// this has returned.
    ///
    /// Returns the fence. Throws ``Refusal/timedOut(waitingFor:)`` or ``Refusal/lockTimedOut(waitingFor:)`` at the deadline,
    /// ``Refusal/revoked`` if an access was lost meanwhile. If the promise fails, the work has ended when this throws, or the
    /// deadline has passed.
    @discardableResult
    public mutating func submitWork(
        on places: inout [WorkPlace], as point: WorkPoint, until deadline: Deadline,
        _ submit: ([DescribedBuffer]) throws(DMABufError) -> Fence?
    ) throws(RegistryError) -> Fence? {
        let ids = Self.buffers(of: places)
        while true {
            for place in places {
                _ = try waitForPromises(place.attached, .waited(before: place.access), until: deadline)
            }
            var fence: Fence?
            let isSubmitted = try underLock(on: ids, lasting: Self.lockLimit(deadline), until: deadline) {
                (registry, lock) throws(RegistryError) in
                try registry.insideAll(&places, from: 0, until: deadline) { (registry, places) throws(RegistryError) in
                    do throws(DMABufError) { fence = try submit(places.map(\.attached.buffer)) } catch {
                        throw .local(error)
                    }
                    if let fence { try registry.promise(fence, on: places, point, lock, until: deadline) }
                }
            }
            // Somebody has promised work between the wait and the lock.
            if isSubmitted { return fence }
        }
    }

    /// Two attachments may be of one buffer.
    private static func buffers(of places: [WorkPlace]) -> [BufferID] {
        places.reduce(into: []) { ids, place in if !ids.contains(place.attached.id) { ids.append(place.attached.id) } }
    }

    /// Runs `body` inside an access to each place from `index` on; false if somebody's work is in the way.
    private mutating func insideAll(
        _ places: inout [WorkPlace], from index: Int, until deadline: Deadline,
        _ body: (inout RegistryConnection, [WorkPlace]) throws(RegistryError) -> Void
    ) throws(RegistryError) -> Bool {
        guard index < places.count else {
            try body(&self, places)
            return true
        }
        let ongoing: OngoingAccess
        do throws(RegistryError) {
            ongoing = try beginOnPresent(
                &places[index].attached, places[index].access, patient: .now(), until: deadline)
        } catch {
            guard case .ruledOut(.timedOut) = error, !deadline.hasPassed else { throw error }
            return false
        }
        let result: Result<Bool, RegistryError>
        do throws(RegistryError) {
            result = .success(try insideAll(&places, from: index + 1, until: deadline, body))
        } catch { result = .failure(error) }
        guard try endAccess(ongoing, until: deadline) == .ok else { throw .ruledOut(.revoked) }
        return try result.get()
    }

    private mutating func promise(
        _ fence: Fence, on places: [WorkPlace], _ point: WorkPoint, _ lock: LockNumber, until deadline: Deadline
    ) throws(RegistryError) {
        do throws(RegistryError) {
            for place in places { try promise(fence, on: place, point, lock, until: deadline) }
        } catch {
            // Nobody else knows that it is under way: so it ends before the accesses do.
            _ = try? fence.wait(until: deadline)
            throw error
        }
    }

    private mutating func promise(
        _ fence: Fence, on place: WorkPlace, _ point: WorkPoint, _ lock: LockNumber, until deadline: Deadline
    ) throws(RegistryError) {
        let terms = FenceTerms(
            timeline: point.timeline, point: point.point, usage: place.usage, kind: .of(fence), within: point.interval)
        try addReserving(fence, to: place.attached.attachment, terms, lock: lock, until: deadline)
    }

    private static func lockLimit(_ deadline: Deadline) -> Duration {
        min(deadline.remaining, Duration(Limits().longestLock))
    }
}

extension FenceTerms.Kind {
    fileprivate static func of(_ fence: Fence) -> FenceTerms.Kind {
        switch fence.kind {
        case .syncFile: .syncFile
        case .eventfd: .eventFD
        case .pidfd: .pidFD
        }
    }
}
