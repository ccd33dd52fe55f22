// SPDX-License-Identifier: Apache-2.0

import Synchronization
import SystemPackage

/// Rule: Between the thread that listens and the tasks that read lies a queue of bounded length. Dropping the oldest
/// event would leave a reader with a device that is gone, so a full queue gives up all of it for one `overflow`: the
/// reader looks at everything again, and that is newer than all that was given up. An end comes after what was queued,
/// but a cancelled reader waits for nothing.
final class HotplugQueue: Sendable {
    typealias Answer = Result<HotplugEvent?, Errno>

    let capacity: Int
    private let state = Mutex(State())

    private struct State {
        var events: [HotplugEvent] = []
        var waiting: [CheckedContinuation<Answer, Never>] = []
        /// What the next reader gets when nothing is queued; nil while events may come.
        var end: Answer?
    }

    /// - Parameter capacity: the most events that wait; at least one.
    init(capacity: Int) {
        precondition(capacity > 0, "a queue for no events")
        self.capacity = capacity
    }

    /// Adds an event; never waits.
    func offer(_ event: HotplugEvent) {
        let reader = state.withLock { state -> CheckedContinuation<Answer, Never>? in
            if state.end != nil { return nil }
            if !state.waiting.isEmpty { return state.waiting.removeFirst() }
            if event == .overflow || state.events.count >= capacity {
                state.events = [.overflow]
            } else {
                state.events.append(event)
            }
            return nil
        }
        reader?.resume(returning: .success(event))
    }

    /// No more events: those who wait get the end now, later readers after what is queued.
    func end(_ reason: Errno? = nil) {
        finish(with: reason.map { .failure($0) } ?? .success(nil), dropping: false)
    }

    /// No more events, and what is queued is given up.
    func cancel() { finish(with: .success(nil), dropping: true) }

    private func finish(with answer: Answer, dropping: Bool) {
        let readers = state.withLock { state -> [CheckedContinuation<Answer, Never>] in
            if dropping { state.events = [] }
            guard state.end == nil else { return [] }
            // A failure is told once.
            state.end = state.waiting.isEmpty ? answer : .success(nil)
            defer { state.waiting = [] }
            return state.waiting
        }
        for (index, reader) in readers.enumerated() { reader.resume(returning: index == 0 ? answer : .success(nil)) }
    }

    /// Waits for an event or the end.
    func next() async -> Answer {
        await withCheckedContinuation { reader in
            let answer = state.withLock { state -> Answer? in
                if !state.events.isEmpty { return .success(state.events.removeFirst()) }
                if let end = state.end {
                    state.end = .success(nil)
                    return end
                }
                state.waiting.append(reader)
                return nil
            }
            if let answer { reader.resume(returning: answer) }
        }
    }
}
