// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
public import DMABufSystem

extension RegistryConnection {
    /// Adds to an attachment's buffer the work at a point of a timeline; it stands there under the same point. Throws `invalid`
    /// if nothing was submitted for the point yet: a fence stands for work that is under way.
    @discardableResult
    public mutating func add(
        _ point: UInt64, of timeline: Timeline, to attachment: AttachmentID, _ usage: Usage, as number: UInt32 = 1,
        lock: LockNumber? = nil, until deadline: Deadline
    ) throws(RegistryError) -> FenceID {
        let fence: Fence
        do throws(DMABufError) { fence = try timeline.fence(at: point) } catch { throw .local(error) }
        return try add(
            fence, to: attachment, FenceTerms(timeline: number, point: point, usage: usage), lock: lock,
            until: deadline)
    }
}

extension AttachedBuffer {
    /// Puts at a point of a timeline all that `access` has to wait for now: the sync_files that were added through the
    /// registry, and whatever drivers have in the kernel's reservation. Eventfds and pidfds are known to the registry alone; wait
    /// for those by `waitForFences` first.
    ///
    /// Throws `unsupported` for a stand-in, which has no reservation, and before Linux 6.0.
    public func putFences(before access: Access, at point: UInt64, of timeline: Timeline) throws(DMABufError) {
        guard let fence = try buffer.fence(waitingBefore: access) else {
            throw DMABufError(
                .unsupported, "a stand-in has no fences of the kernel's, and no kernel before 6.0 gives any")
        }
        try timeline.add(fence, at: point)
    }
}
