// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage

/// One generation of one buffer.
struct GenerationKey: Hashable, Sendable {
    var buffer: BufferID
    var generation: Generation

    /// Few buffers have two at a time.
    func hash(into hasher: inout Hasher) { hasher.combine(buffer) }

    /// A buffer's number was drawn at random, here: nobody chooses where it comes to lie, and no hasher is needed.
    func _rawHashValue(seed: Int) -> Int { Int(truncatingIfNeeded: buffer.low) ^ seed }
}

/// The memory behind every generation that is not released.
struct MemoryTable {
    struct Entry {
        var memory: [DMABuffer]
        var memories: Memories
        /// What the kernel counts when nobody but us holds it.
        var baseline: Int
        /// The registry's worker made it: no descriptor of what lies beneath it was ever with a client.
        var isOurs = false

        func duplicates() throws(Errno) -> DescriptorList {
            var list = DescriptorList()
            for memory in memory { try list.appendDuplicate(of: memory.descriptor) }
            return list
        }

        /// Of memory that takes the kernel long to take back.
        var duplicatesOfBig: DescriptorList {
            var list = DescriptorList()
            for memory in memory where memory.isBig {
                try? list.appendDuplicate(of: memory.descriptor)
            }
            return list
        }
    }

    private var entries: [GenerationKey: Entry] = [:]

    var count: Int { entries.count }
    var keys: [GenerationKey] { Array(entries.keys) }

    subscript(key: GenerationKey) -> Entry? {
        get { entries[key] }
        set { entries[key] = newValue }
    }

    mutating func setBaselines(to baseline: Int) {
        for key in entries.keys { entries[key]?.baseline = baseline }
    }

    /// The count of fdinfo, compared with our own references. The highest of a buffer's memories counts.
    func count(of key: GenerationKey, by counts: borrowing ReferenceCounts) -> Count {
        guard let entry = entries[key], entry.memories.kind == .dmaBuf else { return .untold }
        var excess = 0
        for memory in entry.memory {
            // What cannot be read is not released.
            guard let count = try? counts.count(of: memory.descriptor) else { return .raised(by: 1) }
            excess = max(excess, count - entry.baseline)
        }
        return excess > 0 ? .raised(by: UInt32(clamping: excess)) : .atBaseline
    }
}
