// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage

/// A fence on a buffer of a pool that its promiser signals: an eventfd. It may be pending for longer than one fence may,
/// for it is renewed before its time is over. Dropped, it stays pending until then, or until its client ends.
struct PoolPromise {
    private static let timeline: UInt32 = 1

    private let usage: Usage
    private let attachment: AttachmentID
    private let buffer: BufferID
    private let event: EventFence
    private var lasting: LastingPromise

    /// Promises under the buffer's lock. Points grow with every promise of a client.
    init(
        _ usage: Usage, on attached: AttachedBuffer, point: UInt64, lock: LockNumber,
        _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) {
        self.usage = usage
        attachment = attached.attachment
        buffer = attached.id
        lasting = Self.lasting(on: attachment)
        do throws(DMABufError) { event = try EventFence() } catch { throw .local(error) }
        try add(point, lock, FenceTerms.longestInterval, &registry, until: deadline)
    }

    private static func lasting(on attachment: AttachmentID) -> LastingPromise {
        LastingPromise(on: [attachment], timeline: timeline, end: .after(Duration(FenceTerms.longestInterval)))
    }

    private func add(
        _ point: UInt64, _ lock: LockNumber, _ within: Interval, _ registry: inout RegistryConnection,
        until deadline: Deadline
    ) throws(RegistryError) {
        let terms = FenceTerms(
            timeline: Self.timeline, point: point, usage: usage, kind: .eventFD, within: within)
        try registry.addReserving(event.fence, to: attachment, terms, lock: lock, until: deadline)
    }

    /// To be called now and then. Who waits for it waits on.
    mutating func renew(
        _ point: UInt64, _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) {
        do throws(RegistryError) { try lasting.renew(&registry, until: deadline) } catch {
            guard case .ruledOut(.noSuchFence) = error else { throw error }
            try promiseAgain(point, &registry, until: deadline)
        }
    }

    /// Its promiser was stopped until its time was over, and its work goes on: let nobody else begin meanwhile.
    private mutating func promiseAgain(
        _ point: UInt64, _ registry: inout RegistryConnection, until deadline: Deadline
    ) throws(RegistryError) {
        let next = Self.lasting(on: attachment)
        do throws(RegistryError) {
            try registry.underLock(on: [buffer], until: deadline) { (registry, lock) throws(RegistryError) in
                try add(point, lock, FenceTerms.longestInterval, &registry, until: deadline)
            }
        } catch {
            // The next turn does it again.
            switch error {
            case .ruledOut(.lockTimedOut), .ruledOut(.lockEnded): return
            default: guard error.isOfRestart else { throw error }
            }
            return
        }
        lasting = next
    }

    /// The work has failed: an eventfd cannot say so, and a fence whose time is over does. It is still to be kept, for those
    /// who were given it.
    func fail(_ registry: inout RegistryConnection, until deadline: Deadline) throws(RegistryError) {
        let atOnce = Interval(nanoseconds: 0)
        while true {
            do throws(RegistryError) {
                try registry.renewFence(on: attachment, Self.timeline, within: atOnce, until: deadline)
            } catch {
                // Its time is over.
                if case .ruledOut(.noSuchFence) = error { return }
                throw error
            }
            // A registry that was stopped is lenient for a moment. At the deadline at the latest it is over there, too.
            if deadline.hasPassed { return }
        }
    }

    /// The work is done.
    func keep() throws(RegistryError) {
        do throws(DMABufError) { try event.signal() } catch { throw .local(error) }
    }
}
