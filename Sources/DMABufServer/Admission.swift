// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage

// Rule: what is admitted.
//
// Each descriptor is what it is called, by the kernel's word and before anything else is called on it; memory can be
// written through it, and a memfd cannot shrink; the description lies inside the real sizes.

extension RegistryServer {
    mutating func admit(_ buffer: NewBuffer, _ descriptors: inout DescriptorList) throws(DMABufError) -> Request {
        let entry = try admit(buffer.memories, &descriptors)
        let number: (UInt64, UInt64)
        do throws(Errno) { number = try SecureRandom.bits128() } catch {
            throw .system("make a buffer's number", error)
        }
        return .register(
            BufferID(high: number.0, low: number.1),
            Registration(backing: entry.backing, kept: buffer.kept, name: buffer.name))
    }

    mutating func admit(_ next: NewGeneration, _ descriptors: inout DescriptorList) throws(DMABufError) -> Request {
        guard next.generation.rawValue < .max else {
            throw DMABufError(.invalid, "no buffer has had so many generations")
        }
        let entry = try admit(next.memories, &descriptors)
        arriving.generation = GenerationKey(buffer: next.buffer, generation: next.generation.next)
        if let fence = next.fence { arriving.fence = try admitFence(fence.kind, &descriptors) }
        return .commitMove(next.buffer, next.generation, entry.backing, fence: next.fence)
    }

    /// Of descriptors that have been looked at. What has come stays among them, or in what arrives, until it is known to be
    /// good: whichever it is in is closed with care.
    mutating func admit(
        _ memories: Memories, _ descriptors: inout DescriptorList
    ) throws(DMABufError) -> MemoryTable.Entry {
        var entry = MemoryTable.Entry(memory: [], memories: memories, baseline: 1)
        for _ in memories.description.sizes {
            guard let found = descriptors.identificationOfFirst else {
                throw DMABufError(.notADMABuf, "a descriptor is missing")
            }
            try checkKind(of: found, memories.kind)
            let descriptor = descriptors.takeFirst()!
            entry.memory.append(try DMABuffer(adopting: descriptor, identifiedAs: found))
            arriving.memory = entry
        }
        guard entry.memory.allSatisfy(\.isWritable) else {
            throw DMABufError(.notADMABuf, "a \(memories.kind.kind.rawValue) that can only be read is not shared")
        }
        _ = try DescribedBuffer(memories.description, memory: entry.memory)
        return entry
    }

    private func checkKind(of found: Identification, _ kind: MemoryKind) throws(DMABufError) {
        switch (found.kind, kind) {
        case (.dmaBuf, .dmaBuf): break
        case (.memfd, .memfd): try DMABuffer.checkSeals(found.seals)
        default: throw DMABufError(.notADMABuf, "something else came as a \(kind)")
        }
    }

    func admitFence(_ kind: FenceTerms.Kind, _ descriptors: inout DescriptorList) throws(DMABufError) -> Fence {
        if let user = arriving.client?.identity.user, !budget.fences.hasRoom(for: user) {
            throw DMABufError(.failed, "too many fences are pending")
        }
        let found = descriptors.identificationOfFirst
        guard let descriptor = descriptors.takeFirst() else {
            throw DMABufError(.notADMABuf, "a fence's descriptor is missing")
        }
        let fence = try Fence(adopting: descriptor, identifiedAs: found)
        guard fence.kind == kind.kind else {
            throw DMABufError(.notADMABuf, "a \(fence.kind.rawValue) came as a \(kind.kind.rawValue)")
        }
        return fence
    }
}

extension MemoryTable.Entry {
    /// What the rules know of it. Of several memories the first one's inode stands for all.
    var backing: Backing {
        Backing(
            inode: memory[0].memoryNumber, byteCount: memory.reduce(0) { $0.addingOrMost($1.byteCount) },
            descriptorCount: UInt32(memory.count), provesRelease: memory.allSatisfy { $0.provesRelease(isOurs: isOurs) }
        )
    }
}

extension UInt64 {
    /// Sparse files can have any size, and four of them more than there are numbers.
    fileprivate func addingOrMost(_ other: UInt64) -> UInt64 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? .max : sum
    }
}

extension DMABuffer {
    /// Whether a count back at its baseline proves that nobody reaches the memory any more. It does for dma-heaps, and for
    /// a udmabuf of ours, whose memfd was closed at once; a client's may still have its memfd. A DRM driver's buffer can be
    /// imported into its own device without being counted.
    fileprivate func provesRelease(isOurs: Bool) -> Bool {
        kind == .dmaBuf && (Self.heaps.contains(exporterName) || isOurs && exporterName == "udmabuf")
    }

    /// As the heaps' drivers name themselves, which nobody else can.
    private static let heaps: Set<String> = [
        "system", "system_cc_shared", "reserved", "linux,cma", "default-pool", "default_cma_region",
    ]
}

extension MemoryKind {
    var kind: DMABuffer.Kind {
        switch self {
        case .dmaBuf: .dmaBuf
        case .memfd: .memfd
        }
    }
}

extension FenceTerms.Kind {
    fileprivate var kind: Fence.Kind {
        switch self {
        case .syncFile: .syncFile
        case .eventFD: .eventfd
        case .pidFD: .pidfd
        }
    }
}

extension DMABufError {
    var refusalReason: OfferRefusal.Reason {
        switch code {
        case .invalid: .description
        case .unsealed: .unsealed
        case .notADMABuf: .wrongKind
        case .refused: .unwanted
        case .unavailable: .unavailable
        default: .failed
        }
    }
}
