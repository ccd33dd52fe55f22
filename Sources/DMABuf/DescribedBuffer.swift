// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem

/// Memory together with what lies in it. The description has been checked against the kernel's sizes: every plane is
/// inside its dma-buf.
public struct DescribedBuffer: Sendable {
    public let description: BufferDescription
    /// The dma-bufs of the description, in its order.
    public let memory: [DMABuffer]

    /// Throws `invalid` if the description speaks of bytes that are not there.
    public init(_ description: BufferDescription, memory: [DMABuffer]) throws(DMABufError) {
        do throws(DescriptionError) {
            try description.check(memoryCount: memory.count) { memory[$0].byteCount }
        } catch {
            throw DMABufError(.invalid, "\(error)")
        }
        self.description = description
        self.memory = memory
    }

    /// What the kernel says of all its memories: at least what is described.
    package var memoryByteCount: UInt64 { memory.reduce(0) { $0 &+ $1.byteCount } }

    /// Of memory that was just made as the description has it: there is nothing to find out.
    init(_ description: BufferDescription, ownMemfd memory: DMABuffer) {
        self.description = description
        self.memory = [memory]
    }

    /// The fences that `access` has to wait for in all of its memory, and `fence`, as one; a snapshot. nil if there is none: for
    /// a stand-in, and where the kernel (before 6.0) cannot tell.
    package func fence(waitingBefore access: Access, and fence: Fence? = nil) throws(DMABufError) -> Fence? {
        var all = fence
        for memory in memory {
            guard let found = try memory.fenceIfKnown(waitingBefore: access) else { continue }
            if let before = all { all = try before.merged(with: found, named: "buffer") } else { all = found }
        }
        return all
    }

    public var kind: DMABuffer.Kind { memory.allSatisfy { $0.kind == .dmaBuf } ? .dmaBuf : .memfd }
}
