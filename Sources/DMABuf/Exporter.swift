// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem

/// Something that makes shareable memory. One file per backend, one line each in ``ExporterBackend/all``.
///
/// The corresponding kernel name is `struct dma_buf_ops`, seen from outside.
public protocol Exporter: Sendable {
    /// As it is written on the command line: "vgem:card1", "heap:system".
    var name: String { get }
    /// What its buffers are like.
    var offer: MemoryOffer { get }

    /// Makes a buffer of its own for `request`, zeroed, and says how it is laid out. The result owns the memory.
    ///
    /// Throws `invalid` for a request that cannot be, `unsupported` past a stated limit, `failed` for the kernel's no.
    func export(_ request: BufferRequest) throws(DMABufError) -> DescribedBuffer
}

extension Exporter {
    /// Refuses what cannot be before any ioctl: the first line of every `export`.
    func check(_ request: BufferRequest) throws(DMABufError) {
        guard request.isPossible else {
            throw DMABufError(
                .invalid, "\(name): no buffer can be made of \(request)",
                remedy: "ask for 1 byte to 8 EiB, or for an image with sides of 1 to \(BufferRequest.sideLimit) pixels")
        }
        guard let limit = offer.sizeLimit else { return }
        let needed = request.linearDescription(pageSize: SystemMemory.pageSize).byteCount
        if needed > limit {
            throw DMABufError(
                .unsupported, "\(name): \(needed) bytes asked for and at most \(limit) allowed",
                remedy: "ask for less, or raise the limit of the module")
        }
    }
}
