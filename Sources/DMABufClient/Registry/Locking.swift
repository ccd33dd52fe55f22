// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
public import DMABufSystem
import DMABufWire

extension RegistryConnection {
    /// Locks all of `buffers` at once, runs `body` with the lock's number, and unlocks, also when `body` throws.
    ///
    /// Throws ``Refusal/lockTimedOut(waitingFor:)`` at `deadline`, or after the longest wait that the registry allows; and
    /// ``Refusal/lockEnded`` if `lasting`, 10 s at most, was over before `body` was, or ``RegistryError/restarted`` if the
    /// registry was: its end was done without the lock then.
    public mutating func withLock<Result>(
        on buffers: [BufferID], lasting: Duration = .seconds(2), until deadline: Deadline,
        _ body: (inout RegistryConnection, LockNumber) throws(RegistryError) -> Result
    ) throws(RegistryError) -> Result {
        let (result, hasLasted) = try runLocked(on: buffers, lasting: lasting, until: deadline) {
            (registry, lock) throws(RegistryError) in
            let run = registry.joined.run
            let result = try body(&registry, lock)
            guard registry.joined.run == run else { throw .restarted }
            return result
        }
        guard hasLasted else { throw .ruledOut(.lockEnded) }
        return result
    }

    /// As above, for a `body` whose last deed is a request under the lock's number: once that is granted it is done, whatever
    /// becomes of the registry, and of the lock.
    mutating func underLock<Result>(
        on buffers: [BufferID], lasting: Duration = .seconds(2), until deadline: Deadline,
        _ body: (inout RegistryConnection, LockNumber) throws(RegistryError) -> Result
    ) throws(RegistryError) -> Result {
        try runLocked(on: buffers, lasting: lasting, until: deadline, body).result
    }

    /// Also says whether the lock was there until `body` had ended.
    private mutating func runLocked<Result>(
        on buffers: [BufferID], lasting: Duration, until deadline: Deadline,
        _ body: (inout RegistryConnection, LockNumber) throws(RegistryError) -> Result
    ) throws(RegistryError) -> (result: Result, hasLasted: Bool) {
        let request = Request.locking(buffers, until: deadline, lasting: lasting)
        guard case .locked(let number, _) = try ask(request, patient: deadline) else {
            throw .ruledOut(.lockEnded)
        }
        // A lock ends with the registry that gave it.
        let run = joined.run
        let result: Result
        do throws(RegistryError) { result = try body(&self, number) } catch {
            if joined.run != run, case .ruledOut(.lockEnded) = error { throw .restarted }
            _ = try? ask(.unlock(number), until: .after(answersWithin))
            throw error
        }
        do throws(RegistryError) { try ask(.unlock(number), until: max(deadline, .after(answersWithin))) } catch {
            if case .ruledOut(.lockEnded) = error { return (result, false) }
            // What was done under it was done before.
            guard joined.run != run else { throw error }
        }
        return (result, true)
    }
}
