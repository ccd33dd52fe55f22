// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

/// A device's queue and a pool of registered buffers, in the same order: what is taken from the pool is queued, and what
/// comes back is announced.
struct CaptureStream: ~Copyable {
    private var queue: VideoQueue
    private var pool: PoolWriter
    private let patience: Duration
    private var counter = FrameCounter("captured")
    /// When a frame is overdue.
    private var due: Deadline
    /// Taken from the pool, and not queued yet: the kernel has work of others on it.
    private var held: Held?

    private struct Held {
        let index: Int
        let buffer: DescribedBuffer
    }

    init(_ queue: consuming VideoQueue, _ pool: consuming PoolWriter, patience: Duration) {
        self.queue = queue
        self.pool = pool
        self.patience = patience
        due = .after(patience)
    }

    private var deadline: Deadline { .after(patience) }

    /// Queues all buffers, so that each has its fence before anybody finds it.
    mutating func begin(_ registry: inout RegistryConnection) throws {
        while pool.taken < UInt64(pool.count), try takeOne(&registry) {}
    }

    mutating func publish(_ registry: inout RegistryConnection, sharedWith shares: [Share]) throws {
        try pool.publish(&registry, sharedWith: shares, until: deadline)
    }

    /// Until so many frames were told of, or a signal.
    mutating func run(
        _ registry: inout RegistryConnection, frames: UInt64?, unless signals: borrowing SignalFD
    ) throws {
        defer { counter.end() }
        due = deadline
        while frames.map({ pool.announced < $0 }) ?? true, signals.next() == nil {
            while try takeOne(&registry) {}
            let before = pool.announced
            try pool.announce(&registry, until: deadline)
            counter.add(pool.announced - before)
            try pool.renew(&registry, until: deadline)
            // What is said to owners needs no answer.
            while try registry.nextNotice(until: .now()) != nil {}
            try wait(unless: signals)
        }
    }

    /// Takes a buffer from the pool and queues it; false if there is none to take, or it cannot be queued yet. Nobody is waited
    /// for here: the frames of all others are in this process's hands.
    private mutating func takeOne(_ registry: inout RegistryConnection) throws -> Bool {
        if held == nil {
            let index = pool.next
            held = try pool.take(&registry, until: deadline).map { Held(index: index, buffer: $0) }
        }
        guard let next = held else { return false }
        do throws(DMABufError) { try queue.queue(next.index, next.buffer, until: .now()) } catch {
            guard error.code == .deadline else { throw error }
            return false
        }
        held = nil
        return true
    }

    /// For a frame. Readers who let go are looked for in between; they say nothing.
    private mutating func wait(unless signals: borrowing SignalFD) throws {
        guard queue.queuedCount > 0 else {
            due = deadline
            // All buffers are with readers, and nothing is asked of the device.
            try queue.checkDevice()
            return Clock.sleep(.milliseconds(2))
        }
        guard let frame = try queue.dequeue(until: .after(.milliseconds(20)), unless: signals.descriptor) else {
            guard due.hasPassed else { return }
            throw DMABufError(
                .deadline, "\(queue.name) gave no frame for \(humanTime(patience))",
                remedy: "look whether it has a signal; a longer --timeout only helps if it is slow")
        }
        due = deadline
        guard pool.finish(isDamaged: frame.isDamaged) == frame.index else {
            throw DMABufError(.failed, "\(queue.name) returns buffers out of order")
        }
        counter.note(frame)
    }

    /// Ends the stream in good order, and says what went by.
    consuming func end(_ registry: inout RegistryConnection) throws -> StreamEndReport {
        let report = StreamEndReport(counter)
        let deadline = deadline
        try queue.end()
        try pool.end(&registry, until: deadline)
        return report
    }
}
