// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// Memory that others have, too, changes hands around each command: caches are seen to, and the driver may rearrange.
///
/// The corresponding term is a queue family ownership transfer, from and to `VK_QUEUE_FAMILY_FOREIGN_EXT`. Outside, an
/// image is in the general layout.
@unsafe
struct VulkanHandover {
    private let commands: VkCommandBuffer
    private let device: VulkanDevice

    enum Direction { case take, giveBack }

    enum Use {
        case read, write

        var access: VkFlags { self == .read ? VulkanConstant.transferRead : VulkanConstant.transferWrite }
        var layout: Int32 { self == .read ? VulkanConstant.sourceLayout : VulkanConstant.destinationLayout }
    }

    init(_ commands: VkCommandBuffer, _ device: VulkanDevice) {
        unsafe (self.commands, self.device) = (commands, device)
    }

    func buffers(_ direction: Direction, _ buffers: [(VkBuffer, Use)]) {
        let barriers = unsafe buffers.map { buffer, use in
            var barrier = unsafe VkBufferMemoryBarrier()
            unsafe barrier.type = VulkanType.bufferBarrier
            unsafe (barrier.sourceAccess, barrier.destinationAccess) = accesses(direction, use)
            unsafe (barrier.sourceFamily, barrier.destinationFamily) = families(direction)
            unsafe barrier.buffer = buffer
            // VK_WHOLE_SIZE
            unsafe barrier.byteCount = ~0
            return unsafe barrier
        }
        let (before, after) = unsafe stages(direction)
        unsafe barriers.withUnsafeBufferPointer {
            unsafe device.calls.barrier(
                commands, before, after, 0, 0, nil, UInt32($0.count), $0.baseAddress, 0, nil)
        }
    }

    func images(_ direction: Direction, _ images: [(VkImage, Use)]) {
        let barriers = unsafe images.map { image, use in
            var barrier = unsafe VkImageMemoryBarrier()
            unsafe barrier.type = VulkanType.imageBarrier
            unsafe (barrier.sourceAccess, barrier.destinationAccess) = accesses(direction, use)
            unsafe (barrier.sourceFamily, barrier.destinationFamily) = families(direction)
            unsafe (barrier.oldLayout, barrier.newLayout) =
                direction == .take ? (VulkanConstant.general, use.layout) : (use.layout, VulkanConstant.general)
            unsafe barrier.image = image
            unsafe barrier.range = VkImageSubresourceRange(
                aspects: VulkanConstant.color, mipLevel: 0, mipCount: 1, layer: 0, layerCount: 1)
            return unsafe barrier
        }
        let (before, after) = unsafe stages(direction)
        unsafe barriers.withUnsafeBufferPointer {
            unsafe device.calls.barrier(
                commands, before, after, 0, 0, nil, 0, nil, UInt32($0.count), $0.baseAddress)
        }
    }

    private func accesses(_ direction: Direction, _ use: Use) -> (VkFlags, VkFlags) {
        direction == .take ? (0, use.access) : (use.access, 0)
    }

    private func families(_ direction: Direction) -> (UInt32, UInt32) {
        let (foreign, own) = unsafe (device.foreignFamily, device.physical.family)
        return direction == .take ? (foreign, own) : (own, foreign)
    }

    private func stages(_ direction: Direction) -> (VkFlags, VkFlags) {
        direction == .take
            // After the semaphores, which the transfer waits for: what is earlier would not be.
            ? (VulkanConstant.transferStage, VulkanConstant.transferStage)
            : (VulkanConstant.transferStage, VulkanConstant.bottomOfPipe)
    }
}
