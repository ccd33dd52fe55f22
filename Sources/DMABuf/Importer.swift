// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem

/// Something that takes shared memory in. One file per backend, one line each in ``ImporterBackend/all``.
///
/// The corresponding kernel name is `struct dma_buf_attach_ops`, seen from outside.
public protocol Importer: Sendable {
    /// As it is written on the command line: "cpu", "drm:card0".
    var name: String { get }

    /// What it needs of a buffer.
    var requirements: Requirements { get }

    /// Takes the buffer in. Throws `refused` with the exclusion, `failed` for the kernel's no.
    func attach(_ buffer: DMABuffer, for access: Access) throws(DMABufError) -> Attachment
}

extension Importer {
    /// Why this memory cannot be attached, by what the importer states of itself, or nil if it should work. Nothing is
    /// tried: an importer that says nil here and fails in `attach` has a bug.
    public func exclusion(of memory: DMABuffer) -> DMABufError? {
        DMABufError(refusing: requirements.unmet(by: memory.facts))
    }

    /// As above, for all of its memory and what lies in it.
    public func exclusion(of buffer: DescribedBuffer) -> DMABufError? {
        DMABufError(
            refusing: buffer.memory.flatMap { requirements.unmet(by: $0.facts) }
                + requirements.unmet(by: buffer.description))
    }

    /// Refuses what is excluded before any ioctl: the first line of every `attach`.
    func check(_ memory: DMABuffer) throws(DMABufError) {
        if let exclusion = exclusion(of: memory) { throw exclusion }
    }
}

extension DMABuffer {
    /// What requirements are compared with.
    public var facts: MemoryFacts {
        MemoryFacts(exporter: exporterName, isStandIn: isStandIn, byteCount: byteCount)
    }
}

extension DMABufError {
    /// Says every requirement that is not met, and what would do about the first; nil if all are.
    public init?(refusing unmet: [Unmet]) {
        guard let first = unmet.first else { return nil }
        let sentences = unmet.map(\.description).joined(separator: "; ").escapedForDisplay
        self.init(.refused, "\(first.party): \(sentences)", remedy: first.remedy.escapedForDisplay)
    }
}
