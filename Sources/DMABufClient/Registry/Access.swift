// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
public import DMABufSystem

extension RegistryConnection {
    /// An access from its begin to its end: the fences are waited for, the access is begun, `body` runs, the access ends.
    ///
    /// Throws ``Refusal/timedOut(waitingFor:)`` when a fence does not end in time, and ``Refusal/revoked`` when the access
    /// was cut off meanwhile: what `body` wrote is lost then. `body` brackets what the CPU does itself.
    public mutating func access<Result>(
        _ attached: AttachedBuffer, _ access: DMABufModel.Access, until deadline: Deadline,
        _ body: (DescribedBuffer) throws(DMABufError) -> Result
    ) throws(RegistryError) -> Result {
        let within = Interval(nanoseconds: deadline.remaining.clampedNanoseconds)
        let longest = min(within, FenceTerms.longestInterval)
        try ask(.wait(attached.attachment, .waited(before: access), within: longest), until: deadline)
        try ask(.beginAccess(attached.attachment, attached.generation, access), until: deadline)
        let result: Swift.Result<Result, DMABufError>
        do throws(DMABufError) { result = .success(try body(attached.buffer)) } catch { result = .failure(error) }
        // The end has a moment of its own, however long the work took.
        let end = max(deadline, .after(.seconds(1)))
        guard case .accessEnded(.ok) = try ask(.endAccess(attached.attachment), until: end) else {
            throw .ruledOut(.revoked)
        }
        do throws(DMABufError) { return try result.get() } catch { throw .local(error) }
    }
}
