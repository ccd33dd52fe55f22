// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// A command that a device has been given. It holds what the command works on; so it is to be held until the work is done.
@safe
public final class VulkanWork: @unchecked Sendable {
    private let device: VulkanDevice
    private let command: VulkanCommand
    private let pool: VkCommandPool
    private let fence: VkFence
    private let before: VulkanSemaphore?
    private let done: VulkanSemaphore?

    /// Tells the device to begin once `before` has been raised. `raising`: whether ``takeSyncFile()`` will be asked for one.
    public init(
        _ command: VulkanCommand, on device: VulkanDevice, after before: VulkanSemaphore?, raising: Bool
    ) throws(VulkanFailure) {
        done = raising ? try VulkanSemaphore(device, isExportable: true) : nil
        (self.device, self.command, self.before) = (device, command, before)
        pool = try Self.makePool(device)
        do throws(VulkanFailure) { fence = try Self.makeFence(device) } catch {
            unsafe device.calls.destroyPool(device.handle, pool, nil)
            throw error
        }
        // From here on the value is whole, and its end cleans up; nothing is under way if this throws.
        unsafe try submit(try record())
    }

    deinit {
        unsafe device.calls.destroyFence(device.handle, fence, nil)
        unsafe device.calls.destroyPool(device.handle, pool, nil)
    }

    /// For work that does not end: what the device may still touch is left to it, for the life of the process.
    public func abandon() { _ = unsafe Unmanaged.passRetained(self) }

    /// Waits for its end; false at the deadline.
    public func wait(until deadline: Deadline) throws(VulkanFailure) -> Bool {
        var fence = fence
        let result = unsafe device.calls.wait(device.handle, 1, &fence, 1, deadline.nanosecondsRemaining)
        if result == VulkanFailure.timeout { return false }
        try succeeding("vkWaitForFences", result)
        return true
    }

    /// A sync_file of it; the caller owns the descriptor. nil if it is done already. Once, of work that raises one.
    public func takeSyncFile() throws(VulkanFailure) -> Descriptor? { try done?.export() }

    private func record() throws(VulkanFailure) -> VkCommandBuffer {
        var info = unsafe VkCommandBufferAllocateInfo()
        unsafe info.type = VulkanType.commandBuffer
        unsafe info.pool = pool
        unsafe info.count = 1
        var commands: VkCommandBuffer?
        try unsafe succeeding(
            "vkAllocateCommandBuffers", device.calls.allocateCommands(device.handle, &info, &commands))
        guard let commands = unsafe commands else { throw .missing("vkAllocateCommandBuffers makes nothing") }
        var begin = unsafe VkCommandBufferBeginInfo()
        unsafe begin.type = VulkanType.begin
        try unsafe succeeding("vkBeginCommandBuffer", device.calls.begin(commands, &begin))
        unsafe command.record(into: commands, of: device)
        try unsafe succeeding("vkEndCommandBuffer", device.calls.end(commands))
        return unsafe commands
    }

    private func submit(_ commands: VkCommandBuffer) throws(VulkanFailure) {
        let waits = before.map { [$0.handle] } ?? []
        let raised = done.map { [$0.handle] } ?? []
        let result = unsafe withUnsafePointer(to: Optional(commands)) { commands in
            unsafe withUnsafePointer(to: VulkanConstant.transferStage) { stage in
                unsafe waits.withUnsafeBufferPointer { waits in
                    unsafe raised.withUnsafeBufferPointer { raised in
                        var info = unsafe VkSubmitInfo()
                        unsafe info.type = VulkanType.submit
                        unsafe (info.waitCount, info.waits, info.waitStages) =
                            (UInt32(waits.count), waits.baseAddress, stage)
                        unsafe (info.commandCount, info.commands) = (1, commands)
                        unsafe (info.signalCount, info.signals) = (UInt32(raised.count), raised.baseAddress)
                        return unsafe device.submit(&info, fence)
                    }
                }
            }
        }
        try succeeding("vkQueueSubmit", result)
    }

    private static func makePool(_ device: VulkanDevice) throws(VulkanFailure) -> VkCommandPool {
        var info = unsafe VkCommandPoolCreateInfo()
        unsafe info.type = VulkanType.commandPool
        unsafe info.family = device.physical.family
        var pool: VkCommandPool = 0
        try unsafe succeeding("vkCreateCommandPool", device.calls.createPool(device.handle, &info, nil, &pool))
        return pool
    }

    private static func makeFence(_ device: VulkanDevice) throws(VulkanFailure) -> VkFence {
        var info = unsafe VkFenceCreateInfo()
        unsafe info.type = VulkanType.fence
        var fence: VkFence = 0
        try unsafe succeeding("vkCreateFence", device.calls.createFence(device.handle, &info, nil, &fence))
        return fence
    }
}
