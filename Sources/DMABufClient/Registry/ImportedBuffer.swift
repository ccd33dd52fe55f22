// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import Synchronization

/// The memory of one generation, and its mappings, which are kept between accesses. It ends with the last
/// ``AttachedBuffer`` that has it.
final class ImportedBuffer: Sendable {
    let buffer: DescribedBuffer
    private let mappings: [KeptMapping]

    /// Takes the descriptors of a grant, and checks them as if a stranger had sent them.
    init(_ grant: Grant, _ descriptors: inout DescriptorList) throws(DMABufError) {
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
        mappings = memory.map { _ in KeptMapping() }
    }

    /// Lends the bytes of a memory to read, inside the bracket.
    func read<Result>(
        _ index: Int, until deadline: Deadline, _ body: (RawSpan) -> Result
    ) throws(DMABufError) -> Result {
        let mapped = try mappings[index].take(of: buffer.memory[index], for: .read)
        let result: Swift.Result<Result, DMABufError>
        do throws(DMABufError) {
            result = .success(try mapped.mapping.withReadAccess(within: deadline.remaining, body))
        } catch { result = .failure(error) }
        mappings[index].keep(mapped)
        return try result.get()
    }

    /// As above, to read and write.
    func write<Result>(
        _ index: Int, until deadline: Deadline, _ body: (inout MutableRawSpan) -> Result
    ) throws(DMABufError) -> Result {
        var mapped = try mappings[index].take(of: buffer.memory[index], for: .readWrite)
        let result: Swift.Result<Result, DMABufError>
        do throws(DMABufError) {
            result = .success(try mapped.mapping.withWriteAccess(within: deadline.remaining, body))
        } catch { result = .failure(error) }
        mappings[index].keep(mapped)
        return try result.get()
    }
}

/// A mapping between two accesses. Whoever takes it has it alone: who comes meanwhile makes another, and waits for nobody.
private final class KeptMapping: Sendable {
    struct Mapped: ~Copyable, Sendable {
        var mapping: Mapping
        let access: Access
    }

    private let kept = Mutex<Mapped?>(nil)

    func take(of memory: DMABuffer, for access: Access) throws(DMABufError) -> Mapped {
        let found = kept.withLock { $0.take() }
        if let found, found.access.isSuperset(of: access) { return found }
        return Mapped(mapping: try CPUImporter().attach(memory, for: access).map(), access: access)
    }

    func keep(_ mapped: consuming Mapped) {
        var returned: Mapped? = mapped
        // What was there is unmapped.
        kept.withLock { $0 = returned.take() }
    }
}
