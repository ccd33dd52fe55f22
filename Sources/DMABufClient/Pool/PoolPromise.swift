// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage

/// A fence on a buffer of a pool that its promiser signals: an eventfd. It may be pending for longer than one fence may,
/// for it is promised again before its time is over. Dropped, it stays pending until then, or until its client ends.
struct PoolPromise {
    private let usage: Usage
    private let attachment: AttachmentID
    private let buffer: BufferID
    private let event: EventFence
    private var renewal = Deadline.after(Self.pause)

    /// Half of what a fence may last.
    private static let pause = Duration.seconds(5)

    /// Promises under the buffer's lock. Points grow with every promise of a client.
    init(
        _ usage: Usage, on attached: AttachedBuffer, point: UInt64, lock: LockNumber,
        _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) {
        self.usage = usage
        attachment = attached.attachment
        buffer = attached.id
        do throws(DMABufError) { event = try EventFence() } catch { throw .local(error) }
        try registry.ask(.reserve(attachment, slots: 1), until: deadline)
        try add(point, lock, FenceTerms.longestInterval, &registry, until: deadline)
    }

    private func add(
        _ point: UInt64, _ lock: LockNumber, _ within: Interval, _ registry: inout RegistryConnection,
        until deadline: Deadline
    ) throws(RegistryError) {
        let terms = FenceTerms(timeline: 1, point: point, usage: usage, kind: .eventFD, within: within)
        try registry.addReserving(event.fence, to: attachment, terms, lock: lock, until: deadline)
    }

    /// Promises it again where its time is half over. Who waits for the one before still hears the end, for it is one event.
    mutating func renew(
        _ point: UInt64, _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) {
        guard renewal.hasPassed else { return }
        do throws(RegistryError) {
            try registry.withLock(on: [buffer], until: deadline) { (registry, lock) throws(RegistryError) in
                // Whoever was stopped for so long that its time was over has lost the slot with it: a new one is reserved.
                try add(point, lock, FenceTerms.longestInterval, &registry, until: deadline)
            }
        } catch {
            // The next turn does it again.
            guard error.isOfRestart else { throw error }
            return
        }
        renewal = .after(Self.pause)
    }

    /// The work has failed: an eventfd cannot say so, and a fence whose time is over does. It is still to be kept, for those
    /// who wait already; they see under the buffer's lock that it has failed.
    func fail(
        _ point: UInt64, _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) {
        try registry.withLock(on: [buffer], until: deadline) { (registry, lock) throws(RegistryError) in
            try add(point, lock, Interval(nanoseconds: 1), &registry, until: deadline)
        }
    }

    /// The work is done.
    func keep() throws(RegistryError) {
        do throws(DMABufError) { try event.signal() } catch { throw .local(error) }
    }
}
