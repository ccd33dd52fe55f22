// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
import DMABufSystem
import DMABufWire

/// One generation of a buffer that this client is attached to. What came was checked: every descriptor is what it was
/// called, every plane is in memory.
public struct AttachedBuffer: Sendable {
    public let id: BufferID
    public let attachment: AttachmentID
    public let generation: Generation
    /// What an access has to wait for, as it was when this was granted.
    public let fences: FenceSummary
    public let buffer: DescribedBuffer
    /// Where its accesses are counted; nil: by message.
    let word: GrantedWord?

    init(_ grant: Grant, _ descriptors: inout DescriptorList) throws(DMABufError) {
        word = grant.word
        id = grant.buffer
        attachment = grant.attachment
        generation = grant.generation
        fences = grant.fences
        var memory: [DMABuffer] = []
        for _ in grant.memories.description.sizes {
            guard let descriptor = descriptors.takeFirst() else {
                throw DMABufError(.notADMABuf, "a descriptor is missing")
            }
            let buffer = try DMABuffer(adopting: descriptor)
            guard buffer.kind == grant.memories.kind.kind else {
                throw DMABufError(.notADMABuf, "a \(buffer.kind.rawValue) came as a \(grant.memories.kind)")
            }
            memory.append(buffer)
        }
        buffer = try DescribedBuffer(grant.memories.description, memory: memory)
    }
}
