// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufPolicy
import DMABufSystem
import DMABufWire
import Logging
import SystemPackage

/// A copy that a move needs: everyone has let go, and it would be a pity to give up for want of a worker.
struct WaitingCopy {
    let buffer: BufferID
    let old: Generation
    let new: Generation
    let exporter: String?
}

/// The workers that are at it, in fair shares of those they work for. Who asks for a buffer and finds no room is told to
/// come again; a copy waits for its turn.
struct WorkerTable {
    static let longestAllocation = Interval.seconds(10)

    private var workers: [UInt64: WorkerProcess] = [:]
    /// Killed or done, and not yet gone: until then each has its share.
    private var ending: [UInt64: WorkerProcess] = [:]
    private var last: UInt64 = 0
    private var shares = FairShare(limit: 8)
    /// Copies for which there is no room yet; the rules end each at its deadline.
    var waiting: [WaitingCopy] = []

    func hasRoom(for user: UInt32) -> Bool { shares.hasRoom(for: user) }
    /// Kept, for it is asked at every turn of the loop.
    private(set) var firstEnd: Instant?

    subscript(number: UInt64) -> WorkerProcess? { workers[number] }
    var all: [WorkerProcess] { Array(workers.values) }
    /// Somebody waits for a new buffer.
    var makesBuffers: Bool {
        workers.values.contains { if case .allocation = $0.purpose { true } else { false } }
    }

    mutating func nextNumber() -> UInt64 {
        last += 1
        return last
    }

    mutating func add(_ worker: WorkerProcess) {
        workers[worker.number] = worker
        shares.take(for: worker.user)
        firstEnd = firstEnd.map { min($0, worker.end) } ?? worker.end
    }

    /// It works no more. False if that is known already.
    mutating func end(_ worker: WorkerProcess) -> Bool {
        guard workers.removeValue(forKey: worker.number) != nil else { return false }
        ending[worker.number] = worker
        firstEnd = workers.values.map(\.end).min()
        return true
    }

    mutating func takeEnded(_ number: UInt64) -> WorkerProcess? {
        guard let worker = ending.removeValue(forKey: number) else { return nil }
        shares.giveBack(of: worker.user)
        return worker
    }
}

// Rule: allocation.
//
// The registry makes buffers for clients that may not open the device: for whom the policy says, else for its own user's and
// root's, unless it was started to do so for everyone. They are charged for it; the memory comes fresh and zeroed from the kernel.

extension RegistryServer {
    mutating func allocate(_ allocation: Allocation, _ id: ClientID, _ client: ClientConnection, _ serial: UInt64) {
        guard let placement = placement(allocation.exporter, for: client, serial) else { return }
        do throws(DMABufError) {
            guard allocation.request.isPossible else { throw DMABufError(.invalid, "no such buffer can be made") }
            do throws(Refusal) {
                let wanted = allocation.request.linearDescription(pageSize: SystemMemory.pageSize)
                try registry.checkRoom(for: wanted.byteCount, by: id)
            } catch {
                say(.answer(.refused(error)), serial, to: client)
                return
            }
            try start(
                .allocation(id, RequestNumber(serial), allocation),
                WorkOrder(allocation.request, exporter: placement.exporter), from: [],
                for: client.identity.user, until: now + WorkerTable.longestAllocation)
        } catch { refuse(error, serial, client) }
    }

    /// A move's copy, by a worker.
    mutating func startCopy(_ buffer: BufferID, from old: Generation, to new: Generation, with exporter: String?) {
        let key = GenerationKey(buffer: buffer, generation: new)
        guard let entry = memories[GenerationKey(buffer: buffer, generation: old)],
            let size = registry.byteCount(of: buffer)
        else { return copyFailed(key) }
        let user = registry.user(of: buffer) ?? OwnProcess.userID
        guard workers.hasRoom(for: user) else {
            return workers.waiting.append(WaitingCopy(buffer: buffer, old: old, new: new, exporter: exporter))
        }
        do throws(DMABufError) {
            guard entry.memory.count == 1 else {
                throw DMABufError(.unsupported, "a buffer of several memories is moved by its mover")
            }
            try start(
                .copy(key), WorkOrder(.bytes(size), exporter: exporter, source: entry.memories),
                from: entry.memory, for: user,
                until: now + registry.limits.longestCopy)
        } catch {
            note(.warning, "a copy was not begun", ["error": "\(error)"])
            copyFailed(key)
        }
    }

    mutating func cancelCopy(_ key: GenerationKey) {
        memories[key] = nil
        workers.waiting.removeAll { $0.buffer == key.buffer && $0.new == key.generation }
        for worker in workers.all {
            if case .copy(key) = worker.purpose { end(worker) }
        }
    }

    private mutating func copyFailed(_ key: GenerationKey) {
        observations.append(.copyFailed(key.buffer, key.generation))
    }

    private mutating func start(
        _ purpose: WorkerProcess.Purpose, _ order: WorkOrder, from source: [DMABuffer], for user: UInt32,
        until end: Instant
    ) throws(DMABufError) {
        guard let command = configuration.workerCommand else {
            throw DMABufError(.unsupported, "this registry makes no buffers")
        }
        guard workers.hasRoom(for: user) else {
            throw DMABufError(.failed, "too many buffers are being made; try again")
        }
        do throws(Errno) {
            let worker = try WorkerProcess(
                workers.nextNumber(), command, purpose, order, from: source, for: user, until: end)
            try worker.watch(with: poller)
            workers.add(worker)
        } catch { throw .system("start a worker", error) }
    }

    /// It has made what it was told to, or says why not, or has died.
    mutating func workerAnswered(_ number: UInt64) {
        guard let worker = workers[number] else { return }
        do throws(DMABufError) {
            done(worker, try receive(from: worker))
        } catch {
            failed(worker, error)
        }
        end(worker)
        observe()
    }

    private mutating func receive(from worker: WorkerProcess) throws(DMABufError) -> MemoryTable.Entry {
        let lost = DMABufError(.failed, "the worker that was to make the buffer died")
        guard var received = try? worker.socket.tryReceive(into: &incoming),
            let envelope = try? Envelope(
                decoding: incoming.span.extracting(first: received.byteCount),
                descriptorCount: received.descriptors.count),
            received.descriptors.closeIfStrange() == nil
        else { throw lost }
        switch envelope.message {
        case .made(let memories):
            defer { arriving = Arriving() }
            var entry = try admit(memories, &received.descriptors)
            entry.isOurs = true
            return entry
        case .refused(let refusal):
            throw DMABufError(refusal.reason == .unavailable ? .unavailable : .failed, refusal.text)
        default: throw lost
        }
    }

    private mutating func done(_ worker: WorkerProcess, _ made: MemoryTable.Entry) {
        switch worker.purpose {
        case .allocation(let id, let number, let allocation):
            guard let client = clients[id], let buffer = try? SecureRandom.bits128() else { return }
            arriving = Arriving()
            arriving.client = client
            arriving.number = number
            arriving.memory = made
            let registration = Registration(backing: made.backing, kept: allocation.kept, name: allocation.name)
            let request = Request.register(BufferID(high: buffer.0, low: buffer.1), registration)
            effects.removeAll()
            registry.handle(request, numbered: number, from: id, at: now, into: &effects)
            carryOutAll()
            arriving = Arriving()
        case .copy(let key):
            var made = made
            // The description is the buffer's, wherever it lies; the new memory has the same size.
            if let old = memories[GenerationKey(buffer: key.buffer, generation: key.generation.previous)] {
                made.memories = Memories(made.memories.kind, old.memories.description)
            }
            memories[key] = made
            observations.append(.copyDone(key.buffer, key.generation, made.backing))
        }
    }

    private mutating func failed(_ worker: WorkerProcess, _ error: DMABufError) {
        note(.notice, "a worker failed", ["error": "\(error)"])
        switch worker.purpose {
        case .allocation(let id, let number, _):
            if let client = clients[id] { refuse(error, number.rawValue, client) }
        case .copy(let key): copyFailed(key)
        }
    }

    private mutating func end(_ worker: WorkerProcess) {
        if workers.end(worker) { worker.kill(poller) }
    }

    /// The process is no more. What it has answered may not have been looked at.
    mutating func workerEnded(_ number: UInt64) {
        workerAnswered(number)
        workers.takeEnded(number)?.reap()
        let waiting = workers.waiting
        workers.waiting.removeAll()
        for copy in waiting { startCopy(copy.buffer, from: copy.old, to: copy.new, with: copy.exporter) }
        observe()
    }

    /// Those whose time is over.
    mutating func endLateWorkers() {
        guard let first = workers.firstEnd, first <= now else { return }
        for worker in workers.all where worker.end <= now {
            failed(worker, DMABufError(.deadline, "the buffer was not made in time"))
            end(worker)
        }
        observe()
    }
}
