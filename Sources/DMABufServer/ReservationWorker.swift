// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import Logging
import SystemPackage

/// Puts sync_files into the kernel's reservations, so that drivers which know nothing of the registry obey them.
///
/// `DMA_BUF_IOCTL_IMPORT_SYNC_FILE` takes the reservation's lock, which a driver may hold for long: so it has a thread of its
/// own, and the loop goes on meanwhile. The thread has a table of open files of its own, see ``SeparateWorker``.
struct ReservationWorker: ~Copyable {
    private let thread: SeparateWorker
    /// Jobs that its queue had no room for.
    private var waiting: [(job: Job, file: Fence, memory: [DMABuffer])] = []
    /// Jobs that were sent and have not come back.
    private var underWay = 0

    /// What goes with the descriptors of a fence and then of memories, and comes back alone.
    struct Job {
        var fence: FenceID
        var access: Access
        /// A positive errno, or 0.
        var error: Int32 = 0

        fileprivate static let byteCount = 16

        init(_ fence: FenceID, _ access: Access) {
            self.fence = fence
            self.access = access
        }

        fileprivate init?(_ bytes: ArraySlice<UInt8>) {
            guard bytes.count == Self.byteCount else { return nil }
            let words = bytes.enumerated().map { UInt64($0.element) << UInt64(8 * ($0.offset % 8)) }
            fence = FenceID(words[..<8].reduce(0, |))
            let rest = words[8...].reduce(0, |)
            access = Access(rawValue: UInt8(truncatingIfNeeded: rest))
            error = Int32(truncatingIfNeeded: rest >> 32)
        }

        fileprivate var bytes: [UInt8] {
            let rest = UInt64(access.rawValue) | UInt64(UInt32(bitPattern: error)) << 32
            return [fence.rawValue, rest].flatMap { word in
                (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
            }
        }
    }

    init() throws(Errno) {
        thread = try SeparateWorker(named: "reservations", Self.work)
    }

    /// Readable when a job has come back.
    var socket: UnixSocket { _read { yield thread.socket } }

    /// Whether jobs wait and none will come back, which would make room: this daemon's user has too many descriptors in flight.
    var isStarved: Bool { underWay == 0 && !waiting.isEmpty }

    mutating func submit(_ job: Job, _ file: Fence, _ memory: [DMABuffer]) {
        if !waiting.isEmpty || !send(job, file, memory) { waiting.append((job, file, memory)) }
    }

    /// The next job that has come back; nil when there is no more.
    mutating func takeOutcome() -> Job? {
        var bytes = [UInt8](repeating: 0, count: Job.byteCount)
        guard underWay > 0, let received = try? thread.socket.tryReceive(into: &bytes) else { return nil }
        underWay -= 1
        submitWaiting()
        return Job(bytes[..<received.byteCount])
    }

    mutating func submitWaiting() {
        while let first = waiting.first, send(first.job, first.file, first.memory) { waiting.removeFirst() }
    }

    private mutating func send(_ job: Job, _ file: Fence, _ memory: [DMABuffer]) -> Bool {
        var descriptors = DescriptorList(lent: ())
        descriptors.lend(file.descriptor)
        for memory in memory { descriptors.lend(memory.descriptor) }
        guard (try? thread.socket.trySend(job.bytes.span, with: descriptors)) == .sent else { return false }
        underWay += 1
        return true
    }

    /// The thread's body: until the other end is closed.
    private static func work(_ socket: borrowing UnixSocket) {
        var bytes = [UInt8](repeating: 0, count: Job.byteCount)
        while var received = try? socket.receive(into: &bytes, until: Deadline(nanoseconds: .max)) {
            guard var job = Job(bytes[..<received.byteCount]) else { continue }
            job.error = carryOut(job, &received.descriptors)?.rawValue ?? 0
            guard (try? socket.send(job.bytes.span, until: .after(.seconds(60)))) != nil else { return }
        }
    }

    private static func carryOut(_ job: Job, _ descriptors: inout DescriptorList) -> Errno? {
        guard let file = descriptors.takeFirst() else { return .badFileDescriptor }
        while let memory = descriptors.takeFirst() {
            do throws(Errno) {
                try DMABufIoctl.importSyncFile(
                    file, into: memory, as: DMABufIoctl.Access(rawValue: UInt32(job.access.rawValue)))
            } catch { return error }
        }
        return nil
    }
}

extension RegistryServer {
    /// A stand-in has no reservation: the registry's own table is all there is.
    mutating func importFence(_ id: FenceID, _ key: GenerationKey, _ usage: Usage) {
        guard let file = fences[id], let entry = memories[key], entry.memories.kind == .dmaBuf else { return }
        imports.insert(id)
        reservations.submit(ReservationWorker.Job(id, usage == .write ? .write : .read), file, entry.memory)
        if reservations.isStarved { tryAgainSoon() }
    }

    /// The answer to who added a fence waits until drivers obey it.
    mutating func holdsBack(_ answer: Answer, _ number: RequestNumber, to client: ClientID) -> Bool {
        guard case .fenceAdded(let id) = answer, imports.contains(id) else { return false }
        heldBack[id] = HeldBack(client: client, number: number)
        return true
    }

    mutating func importsDone() {
        while let job = reservations.takeOutcome() {
            imports.remove(job.fence)
            if job.error != 0 {
                counters.importsFailed += 1
                note(
                    .warning, "the kernel did not take a fence: only clients of the registry obey it",
                    ["fence": "\(job.fence.rawValue)", "error": "\(Errno(rawValue: job.error))"])
            }
            guard let held = heldBack.removeValue(forKey: job.fence), let client = clients[held.client] else {
                continue
            }
            say(.answer(.fenceAdded(job.fence)), held.number.rawValue, to: client)
        }
        if reservations.isStarved { tryAgainSoon() }
        observe()
    }
}

/// An answer that is ready, and waits for the kernel.
struct HeldBack {
    var client: ClientID
    var number: RequestNumber
}
