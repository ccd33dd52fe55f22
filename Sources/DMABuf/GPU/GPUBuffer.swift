// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem

/// A buffer that a GPU has taken in, as the image that it is or as plain bytes. Its end detaches; while the GPU works with it,
/// the end of another one does, or the next work, or ``GPU/collect()``.
public final class GPUBuffer: Sendable {
    public let buffer: DescribedBuffer
    /// The GPU's name.
    public var importer: String { gpu.name }
    let place: Place
    private let gpu: GPU

    enum Place: Sendable {
        case bytes(VulkanBuffer)
        case image(VulkanImage)
    }

    init(_ buffer: DescribedBuffer, at place: Place, of gpu: GPU) {
        self.buffer = buffer
        self.place = place
        self.gpu = gpu
    }

    deinit { gpu.collect() }
}

extension GPU {
    /// Takes a buffer in: an image as an image, with its modifier, if the driver knows those.
    ///
    /// Throws `refused` with every requirement that is not met, `failed` for the driver's no.
    public func attach(_ buffer: DescribedBuffer) throws(DMABufError) -> GPUBuffer {
        if let exclusion = VulkanImporter(self).exclusion(of: buffer) { throw exclusion }
        guard buffer.memory.count == 1, let memory = buffer.memory.first else {
            throw DMABufError(.unsupported, "\(name) takes buffers of one memory, and this has \(buffer.memory.count)")
        }
        guard let image = buffer.description.image, let support = support(for: image) else {
            return GPUBuffer(buffer, at: .bytes(try attachBytes(memory)), of: self)
        }
        guard image.planes.count == support.planeCount else {
            throw DMABufError(
                .refused,
                "\(name): an image with that modifier has \(support.planeCount) plane(s) in memory, and \(image.planes.count) "
                    + "are described", remedy: "describe all that the exporter made")
        }
        let planes = image.planes.map { VulkanImage.Plane(offset: $0.offset, stride: UInt64($0.stride)) }
        let shape = VulkanImage.Shape(
            width: image.width, height: image.height, fourcc: image.fourcc, modifier: image.modifier.rawValue)
        let attached = try vulkan("\(name): import an image of dma-buf \(memory.inode) of \(memory.exporterName)") {
            () throws(VulkanFailure) in
            try VulkanImage(
                importing: memory.descriptor, byteCount: memory.byteCount, shape, planes: planes,
                dedicated: support.sharing.dedicatedOnly, device)
        }
        return GPUBuffer(buffer, at: .image(attached), of: self)
    }

    func support(for image: ImageLayout) -> VulkanPhysicalDevice.ImageSupport? {
        images.first { $0.fourcc == image.fourcc && $0.modifier == image.modifier.rawValue }
    }

    func attachBytes(_ memory: DMABuffer) throws(DMABufError) -> VulkanBuffer {
        try vulkan("\(name): import dma-buf \(memory.inode) of \(memory.exporterName)") { () throws(VulkanFailure) in
            try VulkanBuffer(importing: memory.descriptor, byteCount: memory.byteCount, device)
        }
    }
}
