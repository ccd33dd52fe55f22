// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// What a device is told to do with memory that it shares. Before it, the memory is taken over from whoever has it
/// otherwise; after it, it is handed back.
public enum VulkanCommand: Sendable {
    /// The first `byteCount` bytes of both.
    case copyBuffer(VulkanBuffer, to: VulkanBuffer, byteCount: UInt64)
    /// Images of one size and one format; modifiers may differ. An extent, in samples, for each plane of the format.
    case copyImage(VulkanImage, to: VulkanImage, planes: [Extent])
    /// Every four bytes become `word`, in the machine's order.
    case fill(VulkanBuffer, with: UInt32)

    public struct Extent: Equatable, Sendable {
        public var width: UInt32
        public var height: UInt32

        public init(width: UInt32, height: UInt32) {
            self.width = width
            self.height = height
        }
    }

    @unsafe
    func record(into commands: VkCommandBuffer, of device: VulkanDevice) {
        let handover = unsafe VulkanHandover(commands, device)
        switch self {
        case .copyBuffer(let source, let destination, let byteCount):
            unsafe handover.buffers(.take, [(source.handle, .read), (destination.handle, .write)])
            var region = VkBufferCopy(source: 0, destination: 0, byteCount: byteCount)
            unsafe device.calls.copyBuffer(commands, source.handle, destination.handle, 1, &region)
            unsafe handover.buffers(.giveBack, [(source.handle, .read), (destination.handle, .write)])
        case .fill(let buffer, let word):
            unsafe handover.buffers(.take, [(buffer.handle, .write)])
            unsafe device.calls.fillBuffer(commands, buffer.handle, 0, buffer.byteCount & ~3, word)
            unsafe handover.buffers(.giveBack, [(buffer.handle, .write)])
        case .copyImage(let source, let destination, let planes):
            unsafe handover.images(.take, [(source.handle, .read), (destination.handle, .write)])
            let regions = Self.regions(planes)
            unsafe regions.withUnsafeBufferPointer { regions in
                unsafe device.calls.copyImage(
                    commands, source.handle, VulkanConstant.sourceLayout, destination.handle,
                    VulkanConstant.destinationLayout, UInt32(regions.count), regions.baseAddress)
            }
            unsafe handover.images(.giveBack, [(source.handle, .read), (destination.handle, .write)])
        }
    }

    private static func regions(_ planes: [Extent]) -> [VkImageCopy] {
        planes.enumerated().map { index, extent in
            let plane = VkImageSubresourceLayers(
                aspects: planes.count == 1 ? VulkanConstant.color : VulkanConstant.plane(index), mipLevel: 0, layer: 0,
                layerCount: 1)
            let start = VkOffset3D(x: 0, y: 0, z: 0)
            return VkImageCopy(
                source: plane, sourceOffset: start, destination: plane, destinationOffset: start,
                extent: VkExtent3D(width: extent.width, height: extent.height, depth: 1))
        }
    }
}
