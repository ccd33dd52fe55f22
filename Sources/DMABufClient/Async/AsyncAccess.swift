// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage

extension RegistryClient {
    /// Lends the bytes of a buffer to read, after everything that has to be waited for: see
    /// ``RegistryConnection/withAccess(_:to:memory:within:_:)``, whose order and errors these are.
    ///
    /// The task waits, and no thread with it; `body` runs on the task's. A task that is cancelled while it waits throws
    /// ``ConnectionError/deadline``, and its access does not stay behind.
    public func withAccess<Result: Sendable>(
        _: Reading, to attached: inout AttachedBuffer, memory index: Int = 0, within limit: Duration = .seconds(2),
        _ body: (RawSpan) -> Result
    ) async throws(RegistryError) -> Result {
        try attached.checkMemory(index)
        let deadline = Deadline.after(limit)
        let losses = try await begin(&attached, .read, until: deadline)
        return try await end(attached, losses) { (imported) throws(DMABufError) in
            try imported.read(index, until: deadline, body)
        }
    }

    /// Lends the bytes of a buffer to read and write; as above, and the readers are waited for, too.
    public func withAccess<Result: Sendable>(
        _: Writing, to attached: inout AttachedBuffer, memory index: Int = 0, within limit: Duration = .seconds(2),
        _ body: (inout MutableRawSpan) -> Result
    ) async throws(RegistryError) -> Result {
        try attached.checkMemory(index)
        let deadline = Deadline.after(limit)
        let losses = try await begin(&attached, .write, until: deadline)
        return try await end(attached, losses) { (imported) throws(DMABufError) in
            try imported.write(index, until: deadline, body)
        }
    }

    /// On the present generation, when what clients have promised and what the kernel knows of has ended. Returns how often
    /// the attachment had lost its accesses by then.
    private func begin(
        _ attached: inout AttachedBuffer, _ access: DMABufModel.Access, until deadline: Deadline
    ) async throws(RegistryError) -> Int {
        var losses = 0
        while true {
            try await waitForPromises(attached, access, until: deadline)
            try await waitForKernelFences(attached, access, until: deadline)
            losses = exchange.losses(of: attached.attachment)
            do throws(RegistryError) {
                try await askToTheEnd(.beginAccess(attached.attachment, attached.generation, access))
                break
            } catch {
                switch error {
                // The map is answered when the move is over.
                case .ruledOut(.stale), .ruledOut(.revoked), .ruledOut(.moving):
                    guard !deadline.hasPassed else { throw error }
                    attached = try await map(attached.attachment, until: deadline.advanced(by: exchange.answersWithin))
                default: throw error
                }
            }
        }
        guard Task.isCancelled else { return losses }
        try await askToTheEnd(.endAccess(attached.attachment))
        throw .connection(.deadline)
    }

    private func end<Result>(
        _ attached: AttachedBuffer, _ losses: Int, _ body: (ImportedBuffer) throws(DMABufError) -> Result
    ) async throws(RegistryError) -> Result {
        let result: Swift.Result<Result, DMABufError>
        do throws(DMABufError) { result = .success(try body(attached.imported)) } catch { result = .failure(error) }
        let answer: Answer
        do throws(RegistryError) { answer = try await askToTheEnd(.endAccess(attached.attachment)) } catch {
            // Another registry has not let it go on.
            guard case .ruledOut(.notInAccess) = error else { throw error }
            throw .ruledOut(.revoked)
        }
        // Whoever has lost one access may be inside another by now, and well.
        guard case .accessEnded(.ok) = answer, exchange.losses(of: attached.attachment) == losses else {
            throw .ruledOut(.revoked)
        }
        do throws(DMABufError) { return try result.get() } catch { throw .local(error) }
    }

    private func waitForPromises(
        _ attached: AttachedBuffer, _ access: DMABufModel.Access, until deadline: Deadline
    ) async throws(RegistryError) {
        while true {
            do throws(RegistryError) {
                let request = Request.waiting(attached.attachment, .waited(before: access), until: deadline)
                // The wait has its own end, and is answered then.
                _ = try await exchange.ask(
                    .request(request), DescriptorList(), until: deadline.advanced(by: exchange.answersWithin),
                    patient: .now())
                return
            } catch {
                if case .ruledOut(.settling) = error, deadline.remaining > RegistryConnection.pause, !Task.isCancelled {
                    await exchange.rest()
                } else if !error.mayWaitOn(until: deadline) {
                    throw error
                }
            }
        }
    }

    /// What is pending is waited for by a thread of its own; mostly nothing is. How it ended is the body's business, as
    /// with a bracket.
    private func waitForKernelFences(
        _ attached: AttachedBuffer, _ access: DMABufModel.Access, until deadline: Deadline
    ) async throws(RegistryError) {
        do throws(DMABufError) { return _ = try attached.waitForKernelFences(before: access, until: .now()) } catch {
            guard error.code == .deadline else { throw .local(error) }
        }
        var thread: WorkerThread?
        let end = await withCheckedContinuation { (end: CheckedContinuation<DMABufError?, Never>) in
            do throws(Errno) {
                thread = try WorkerThread(named: "fences") {
                    do throws(DMABufError) {
                        _ = try attached.waitForKernelFences(before: access, until: deadline)
                        end.resume(returning: nil)
                    } catch { end.resume(returning: error) }
                }
            } catch { end.resume(returning: .system("start a thread that waits for fences", error)) }
        }
        _ = consume thread
        if let end { throw .local(end) }
    }

    /// What begins or ends is not left half way where the task is cancelled: it is answered at once.
    @discardableResult
    private func askToTheEnd(_ request: Request) async throws(RegistryError) -> Answer {
        // Where the registry dies meanwhile, the next one has to hear of it.
        let patience = max(exchange.answersWithin, exchange.patience)
        let reply = try await exchange.askToTheEnd(request, until: .after(patience))
        guard case .answer(let answer) = reply.message else { throw reply.unexpected }
        return answer
    }
}
