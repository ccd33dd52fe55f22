// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
import DMABufWire

/// One generation of a buffer that this client is attached to. What came was checked: every descriptor is what it was
/// called, every plane is in memory.
///
/// However often a generation is attached or mapped by one client, its memory is imported once, for as long as one of
/// these values lives.
public struct AttachedBuffer: Sendable {
    public let id: BufferID
    public let attachment: AttachmentID
    public let generation: Generation
    /// What an access has to wait for, as it was when this was granted.
    public let fences: FenceSummary
    public var buffer: DescribedBuffer { imported.buffer }
    let imported: ImportedBuffer

    /// How many memories there are is the choice of whoever registered it.
    func checkMemory(_ index: Int) throws(RegistryError) {
        guard buffer.memory.indices.contains(index) else {
            throw .local(
                DMABufError(.invalid, "the buffer has \(buffer.memory.count) memories, and none is number \(index)"))
        }
    }

    /// Where its accesses are counted; nil: by message.
    let word: GrantedWord?

    init(_ grant: Grant, _ imported: ImportedBuffer) {
        word = grant.word
        id = grant.buffer
        attachment = grant.attachment
        generation = grant.generation
        fences = grant.fences
        self.imported = imported
    }
}
