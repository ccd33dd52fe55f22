// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
public import DMABufSystem
import SystemPackage

/// Work that is under way and known to the kernel, in its own reservation of a buffer. Who put it there need not know of any
/// registry: a driver, or a process with the dma-buf's descriptor. The registry's own sync_files are there, too.
public struct KernelFence: Hashable, Sendable {
    /// `write` or `read`: the kernel shows no more of its classes.
    public let usage: Usage
    /// Who ends it, in the kernel's words.
    public let driver: String
    public let timeline: String
}

extension AttachedBuffer {
    /// The fences in the kernel's reservation that are pending now, the writers' first. Empty for a stand-in, and before
    /// Linux 6.0, which cannot tell.
    ///
    /// The corresponding ioctls are `DMA_BUF_IOCTL_EXPORT_SYNC_FILE` and `SYNC_IOC_FILE_INFO`. They may wait for a driver
    /// that has the reservation locked.
    public func pendingKernelFences() throws(DMABufError) -> [KernelFence] {
        var all: [KernelFence] = []
        for memory in buffer.memory {
            let writers = try memory.pendingFences(waitingBefore: .read)
            var others = try memory.pendingFences(waitingBefore: .write)
            // A writer waits for all of them: what is left are the readers.
            for part in writers { if let index = others.firstIndex(of: part) { others.remove(at: index) } }
            all += writers.map { KernelFence(usage: .write, driver: $0.driver, timeline: $0.timeline) }
            all += others.map { KernelFence(usage: .read, driver: $0.driver, timeline: $0.timeline) }
        }
        return all.sorted { $0.usage < $1.usage }
    }

    /// Whether `access` would have to wait now for what is in the kernel's reservation; false where it cannot tell, as above.
    func hasPendingKernelFences(before access: DMABufModel.Access) throws(DMABufError) -> Bool {
        for memory in buffer.memory {
            if try memory.fenceIfKnown(waitingBefore: access)?.status() == .pending { return true }
        }
        return false
    }

    /// Waits for the fences in the kernel's reservation that `access` has to wait for, as they are now; a stand-in has none.
    ///
    /// Returns how they ended, the first failure if there was one. Throws `deadline`, naming who was waited for. The
    /// corresponding ioctl is `DMA_BUF_IOCTL_EXPORT_SYNC_FILE`.
    public func waitForKernelFences(
        before access: Access, until deadline: Deadline
    ) throws(DMABufError) -> FenceStatus {
        for memory in buffer.memory {
            guard let fence = try memory.fenceIfKnown(waitingBefore: access) else { continue }
            if case .failed(let error) = try fence.wait(until: deadline) { return .error(error.rawValue) }
        }
        return .ok
    }
}

extension RegistryConnection {
    /// Waits for the work on a buffer that is under way now, in `usage` and the classes below it: what clients of the
    /// registry have promised, and what the kernel has in the buffer's reservation.
    ///
    /// Returns how it ended, as soon as that is not `ok`. Throws ``Refusal/timedOut(waitingFor:)`` or ``DMABufError``
    /// `deadline`, both of which say who was waited for.
    public mutating func waitForFences(
        of attached: AttachedBuffer, _ usage: Usage, until deadline: Deadline
    ) throws(RegistryError) -> FenceStatus {
        let status = try waitForPromises(attached, usage, until: deadline)
        guard status == .ok else { return status }
        let access: DMABufModel.Access = usage <= .write ? .read : .write
        do throws(DMABufError) { return try attached.waitForKernelFences(before: access, until: deadline) } catch {
            throw .local(error)
        }
    }
}

extension DMABuffer {
    fileprivate func pendingFences(waitingBefore access: Access) throws(DMABufError) -> [Fence.Part] {
        guard let fence = try fenceIfKnown(waitingBefore: access) else { return [] }
        return try fence.parts().filter { $0.status == .pending }
    }
}
