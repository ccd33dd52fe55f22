// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// Bytes that a device copies from and to: a whole dma-buf.
///
/// The corresponding kernel name is `struct dma_buf_attachment`; it ends with the value.
@safe
public final class VulkanBuffer: @unchecked Sendable {
    public let byteCount: UInt64
    let device: VulkanDevice
    let handle: VkBuffer
    /// Held; the buffer is destroyed before it.
    private let memory: VulkanMemory

    deinit { unsafe device.calls.destroyBuffer(device.handle, handle, nil) }

    /// Takes in another's dma-buf of `byteCount` bytes; borrows its descriptor.
    public convenience init(
        importing descriptor: borrowing Descriptor, byteCount: UInt64, _ device: VulkanDevice
    ) throws(VulkanFailure) {
        let handle = try Self.create(byteCount, device)
        do throws(VulkanFailure) {
            let memory = try VulkanMemory(
                importing: descriptor, byteCount: byteCount, needs: Self.needs(handle, device),
                device.sharesBuffers.dedicatedOnly ? .buffer(handle) : .none, device)
            try self.init(handle, memory, byteCount, device)
        } catch {
            unsafe device.calls.destroyBuffer(device.handle, handle, nil)
            throw error
        }
    }

    /// Makes `byteCount` bytes that can be lent, whatever is in them, and a dma-buf of all that was taken for them; the
    /// caller owns the descriptor, which keeps the memory.
    public static func exported(
        byteCount: UInt64, _ device: VulkanDevice
    ) throws(VulkanFailure) -> Descriptor {
        let handle = try create(byteCount, device)
        defer { unsafe device.calls.destroyBuffer(device.handle, handle, nil) }
        let memory = try VulkanMemory(
            exportable: needs(handle, device), device.sharesBuffers.dedicatedOnly ? .buffer(handle) : .none, device)
        return try memory.export()
    }

    private init(
        _ handle: VkBuffer, _ memory: VulkanMemory, _ byteCount: UInt64, _ device: VulkanDevice
    ) throws(VulkanFailure) {
        try unsafe succeeding("vkBindBufferMemory", device.calls.bindBuffer(device.handle, handle, memory.handle, 0))
        (self.device, self.handle, self.memory, self.byteCount) = (device, handle, memory, byteCount)
    }

    private static func create(_ byteCount: UInt64, _ device: VulkanDevice) throws(VulkanFailure) -> VkBuffer {
        var external = unsafe VkExternalMemoryBufferCreateInfo()
        unsafe external.type = VulkanType.externalMemoryBuffer
        unsafe external.handleTypes = VulkanConstant.dmaBuf
        var info = unsafe VkBufferCreateInfo()
        unsafe info.type = VulkanType.buffer
        unsafe info.byteCount = byteCount
        unsafe info.usage = VulkanConstant.transferSource | VulkanConstant.transferDestination
        var buffer: VkBuffer = 0
        let result = unsafe withUnsafePointer(to: external) { external in
            unsafe info.next = UnsafeRawPointer(external)
            return unsafe device.calls.createBuffer(device.handle, &info, nil, &buffer)
        }
        try succeeding("vkCreateBuffer", result)
        return buffer
    }

    private static func needs(_ buffer: VkBuffer, _ device: VulkanDevice) -> VkMemoryRequirements {
        var needs = VkMemoryRequirements()
        unsafe device.calls.bufferNeeds(device.handle, buffer, &needs)
        return needs
    }
}
