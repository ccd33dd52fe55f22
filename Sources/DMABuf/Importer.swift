// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// Something that takes shared memory in. One file per backend, one line each in ``ImporterBackend/all``.
///
/// The corresponding kernel name is `struct dma_buf_attach_ops`, seen from outside.
public protocol Importer: Sendable {
    /// As it is written on the command line: "cpu", "drm:card0".
    var name: String { get }

    /// Why this buffer cannot be attached, by what the importer states of itself, or nil if it should work. Nothing is
    /// tried: an importer that says nil here and fails in `attach` has a bug.
    func exclusion(of buffer: DMABuffer) -> String?

    /// Takes the buffer in. Throws `refused` with the exclusion, `failed` for the kernel's no.
    func attach(_ buffer: DMABuffer, for access: Access) throws(DMABufError) -> Attachment
}

extension Importer {
    /// Refuses what is excluded before any ioctl: the first line of every `attach`.
    func check(_ buffer: DMABuffer) throws(DMABufError) {
        if let reason = exclusion(of: buffer) { throw DMABufError(.refused, "\(name): \(reason)") }
    }
}
