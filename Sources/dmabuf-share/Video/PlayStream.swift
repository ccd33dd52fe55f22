// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

/// A reader of a pool and a device's queue: what is taken is queued, and what comes back is let go.
struct PlayStream: ~Copyable {
    private var queue: VideoQueue
    private var reader: PoolReader
    private let patience: Duration
    private var counter = FrameCounter("played")
    /// When a frame is overdue.
    private var due: Deadline
    /// Taken from the pool, and not queued yet: somebody of whom only the kernel knows still writes to it.
    private var held: PoolReader.Frame?

    /// Requests wait for so long at a time; signals are seen in between.
    private static let moment = Duration.milliseconds(100)

    init(_ queue: consuming VideoQueue, _ reader: consuming PoolReader, patience: Duration) {
        self.queue = queue
        self.reader = reader
        self.patience = patience
        due = .after(patience)
    }

    private var deadline: Deadline { .after(patience) }

    /// An output shows a frame until it has the next: with two it goes on, and what is left is the producer's.
    private var limit: Int { max(2, reader.count - 2) }

    /// Until so many frames were queued, the stream has ended, or a signal.
    mutating func run(
        _ registry: inout RegistryConnection, frames: UInt64?, unless signals: borrowing SignalFD
    ) throws {
        defer { counter.end() }
        while frames.map({ counter.count < $0 }) ?? true, signals.next() == nil {
            try takeBack(&registry, until: queue.queuedCount < limit ? .now() : .after(Self.moment), signals)
            try reader.renew(&registry, until: deadline)
            if queue.queuedCount < limit, try !playOne(&registry) { return }
            guard due.hasPassed else { continue }
            throw DMABufError(
                .deadline, "nothing was played for \(humanTime(patience))",
                remedy: "look whether \(reader.name.quotedForDisplay) gets frames, and \(queue.name) takes them")
        }
    }

    /// false at the end of the stream.
    private mutating func playOne(_ registry: inout RegistryConnection) throws -> Bool {
        if held == nil { held = try reader.take(&registry, until: .after(Self.moment)) }
        guard let frame = held else {
            try queue.checkDevice()
            return try !reader.hasEnded()
        }
        do throws(DMABufError) {
            try queue.queue(frame.index, frame.buffer, until: min(due, .after(Self.moment)))
        } catch {
            guard error.code == .deadline, !due.hasPassed else { throw error }
            return true
        }
        held = nil
        counter.add()
        due = deadline
        return true
    }

    private mutating func takeBack(
        _ registry: inout RegistryConnection, until end: Deadline, _ signals: borrowing SignalFD
    ) throws {
        var end = end
        while let done = try queue.dequeue(until: end, unless: signals.descriptor) {
            try reader.letGo(done.index, &registry, until: deadline)
            counter.note(done)
            end = .now()
        }
    }

    /// The device gives back what it has, and all is let go.
    consuming func end(_ registry: inout RegistryConnection) throws -> StreamEndReport {
        let report = StreamEndReport(counter)
        let deadline = deadline
        try queue.end()
        try reader.detach(&registry, until: deadline)
        return report
    }
}

extension PoolReader {
    /// Whether no frame will come any more. Throws `gone` where that is because the producer has died.
    func hasEnded() throws(DMABufError) -> Bool {
        switch end {
        case nil: return false
        case .inGoodOrder: return true
        case .died:
            throw DMABufError(.gone, "the producer of \(name.quotedForDisplay) has died, and no frames are left")
        }
    }
}
