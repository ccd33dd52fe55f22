// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire

/// What this client has imported, by buffer and generation: never by a descriptor's number or an address, which are given
/// again.
///
/// It keeps nothing alive: what nobody uses any more is gone, for memory that is merely remembered would look like a holder
/// to the registry. Of each buffer it knows the generation that came last, and of no more than ``limit`` buffers.
struct ImportCache {
    private struct Entry {
        let generation: Generation
        weak var imported: ImportedBuffer?
    }

    private var entries: [BufferID: Entry] = [:]
    private let limit: Int

    init(limit: Int = 1024) { self.limit = limit }

    var count: Int { entries.count }

    /// The import of that generation if there is one, whose descriptors then take the place of those that came; else a
    /// new one.
    mutating func take(_ grant: Grant, _ descriptors: inout DescriptorList) throws(DMABufError) -> AttachedBuffer {
        if let known = find(grant, descriptors) { return AttachedBuffer(grant, known) }
        let imported = try ImportedBuffer(grant, &descriptors)
        entries[grant.buffer] = nil
        makeRoom()
        if entries.count < limit {
            entries[grant.buffer] = Entry(generation: grant.generation, imported: imported)
        }
        return AttachedBuffer(grant, imported)
    }

    /// What the registry lets one attachment write another may have to read alone: that is another import.
    private func find(_ grant: Grant, _ descriptors: borrowing DescriptorList) -> ImportedBuffer? {
        guard let entry = entries[grant.buffer], entry.generation == grant.generation, let known = entry.imported,
            known.buffer.description == grant.memories.description, known.buffer.kind == grant.memories.kind.kind,
            descriptors.count == known.buffer.memory.count
        else { return nil }
        for (index, memory) in known.buffer.memory.enumerated()
        where descriptors.isOpenForWriting(at: index) != memory.isOpenForWriting { return nil }
        return known
    }

    private mutating func makeRoom() {
        guard entries.count >= limit else { return }
        entries = entries.filter { $0.value.imported != nil }
    }
}
