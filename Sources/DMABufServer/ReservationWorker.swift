// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import Logging
import Synchronization
import SystemPackage

/// Puts sync_files into the kernel's reservations, so that drivers which know nothing of the registry obey them.
///
/// `DMA_BUF_IOCTL_IMPORT_SYNC_FILE` takes the reservation's lock, which a driver may hold for long: so it has a thread of its
/// own, and the loop goes on meanwhile.
final class ReservationWorker: Sendable {
    struct Job: Sendable {
        var fence: FenceID
        var file: Fence
        var memory: [DMABuffer]
        var access: Access
    }

    /// The kernel's no, or nil.
    struct Outcome: Sendable {
        var fence: FenceID
        var error: Errno?
    }

    private struct State {
        var jobs: [Job] = []
        var outcomes: [Outcome] = []
        var isEnding = false
    }

    private let state = Mutex(State())
    private let toDo: EventFD
    /// Readable when there is something to ``takeOutcomes()``.
    let done: EventFD

    init() throws(Errno) {
        let toDo = try EventFD()
        done = try EventFD()
        self.toDo = toDo
    }

    func submit(_ job: Job) {
        state.withLock { $0.jobs.append(job) }
        try? toDo.signal()
    }

    func takeOutcomes() -> [Outcome] {
        _ = done.drain()
        return state.withLock { state in
            defer { state.outcomes = [] }
            return state.outcomes
        }
    }

    /// The thread returns after what it is doing.
    func end() {
        state.withLock { $0.isEnding = true }
        try? toDo.signal()
    }

    /// The thread's body.
    func work() {
        while true {
            _ = try? Poll.wait(toDo.descriptor, for: .readable, until: Deadline(nanoseconds: .max))
            _ = toDo.drain()
            let (jobs, isEnding) = state.withLock { state in
                defer { state.jobs = [] }
                return (state.jobs, state.isEnding)
            }
            if isEnding { return }
            for job in jobs {
                let outcome = Outcome(fence: job.fence, error: Self.carryOut(job))
                state.withLock { $0.outcomes.append(outcome) }
                try? done.signal()
            }
        }
    }

    private static func carryOut(_ job: Job) -> Errno? {
        for memory in job.memory where memory.kind == .dmaBuf {
            do throws(DMABufError) { try memory.add(job.file, as: job.access) } catch {
                return error.cause ?? .invalidArgument
            }
        }
        return nil
    }
}

extension RegistryServer {
    /// A stand-in has no reservation: the registry's own table is all there is.
    mutating func importFence(_ id: FenceID, _ key: GenerationKey, _ usage: Usage) {
        guard let file = fences[id], let entry = memories[key], entry.memories.kind == .dmaBuf else { return }
        imports.insert(id)
        worker.submit(
            ReservationWorker.Job(
                fence: id, file: file, memory: entry.memory, access: usage == .write ? .write : .read))
    }

    /// The answer to who added a fence waits until drivers obey it.
    mutating func holdsBack(_ answer: Answer, _ number: RequestNumber, to client: ClientID) -> Bool {
        guard case .fenceAdded(let id) = answer, imports.contains(id) else { return false }
        heldBack[id] = HeldBack(client: client, number: number)
        return true
    }

    mutating func importsDone() {
        for outcome in worker.takeOutcomes() {
            imports.remove(outcome.fence)
            if let error = outcome.error {
                counters.importsFailed += 1
                log.warning(
                    "the kernel did not take a fence: only clients of the registry obey it",
                    metadata: ["fence": "\(outcome.fence.rawValue)", "error": "\(error)"])
            }
            guard let held = heldBack.removeValue(forKey: outcome.fence), let client = clients[held.client] else {
                continue
            }
            say(.answer(.fenceAdded(outcome.fence)), held.number.rawValue, to: client)
        }
    }
}

/// An answer that is ready, and waits for the kernel.
struct HeldBack {
    var client: ClientID
    var number: RequestNumber
}
