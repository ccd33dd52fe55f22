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
            try description.check(realSizes: memory.map(\.byteCount))
        } catch {
            throw DMABufError(.invalid, "\(error)")
        }
        self.description = description
        self.memory = memory
    }

    public var kind: DMABuffer.Kind { memory.allSatisfy { $0.kind == .dmaBuf } ? .dmaBuf : .memfd }
}
