// SPDX-License-Identifier: Apache-2.0

import CVulkan
import Glibc
import Synchronization

/// An open device with one queue: it takes memory of others in, lends its own, and copies.
///
/// What belongs to it keeps it open; the corresponding C functions are `vkCreateDevice` and `vkDestroyDevice`.
@safe
public final class VulkanDevice: @unchecked Sendable {
    public let physical: VulkanPhysicalDevice
    public let sharesSyncFiles: Bool
    public let sharesBuffers: VulkanPhysicalDevice.Sharing
    let calls: DeviceCalls
    let handle: VkDevice
    let memories: [VkMemoryType]
    let foreignFamily: UInt32
    private let queue: VkQueue
    /// A queue is one thread's at a time.
    private let turn = Mutex(())

    public init(_ physical: VulkanPhysicalDevice) throws(VulkanFailure) {
        guard physical.knowsDMABufs else {
            throw .missing("\(physical.name): its driver lacks VK_EXT_external_memory_dma_buf")
        }
        self.physical = physical
        sharesSyncFiles = physical.sharesSyncFiles
        sharesBuffers = physical.sharesBuffers
        foreignFamily = physical.foreignFamily
        memories = Self.memories(of: physical)
        unsafe handle = try Self.create(physical)
        do throws(VulkanFailure) {
            unsafe calls = try DeviceCalls(physical, handle)
            var queue: VkQueue?
            unsafe calls.queue(handle, physical.family, 0, &queue)
            guard let queue = unsafe queue else { throw .missing("\(physical.name) has no queue") }
            unsafe self.queue = queue
        } catch {
            // Nobody comes to its end otherwise.
            unsafe Self.destroy(handle, of: physical)
            throw error
        }
    }

    private static func destroy(_ device: VkDevice, of physical: VulkanPhysicalDevice) {
        let find = unsafe physical.instance.calls.deviceFunction
        guard let found = try? unsafe vulkanCall("vkDestroyDevice", { unsafe find(device, $0) }) as PFN_vkDestroyDevice
        else { return }
        unsafe found(device, nil)
    }

    deinit { unsafe calls.destroy(handle, nil) }

    private static let wanted = [
        "VK_KHR_external_memory_fd", "VK_EXT_external_memory_dma_buf", "VK_KHR_external_semaphore_fd",
        "VK_KHR_image_format_list", "VK_EXT_image_drm_format_modifier", "VK_EXT_queue_family_foreign",
    ]

    private static func create(_ physical: VulkanPhysicalDevice) throws(VulkanFailure) -> VkDevice {
        let extensions = wanted.filter { physical.extensions.contains($0) }
        // The names live as long as the process: they are few, and drivers have been seen to keep them.
        let names = unsafe extensions.map { unsafe UnsafePointer(strdup($0)) }
        var device: VkDevice?
        let result = unsafe withUnsafePointer(to: Float(1)) { priority in
            var queue = unsafe VkDeviceQueueCreateInfo()
            unsafe queue.type = VulkanType.queue
            unsafe queue.family = physical.family
            unsafe queue.count = 1
            unsafe queue.priorities = priority
            return unsafe withUnsafePointer(to: queue) { queue in
                unsafe names.withUnsafeBufferPointer { names in
                    var info = unsafe VkDeviceCreateInfo()
                    unsafe info.type = VulkanType.device
                    unsafe info.queueCount = 1
                    unsafe info.queues = queue
                    unsafe info.extensionCount = UInt32(names.count)
                    unsafe info.extensions = names.baseAddress
                    return unsafe physical.instance.calls.createDevice(physical.handle, &info, nil, &device)
                }
            }
        }
        try succeeding("vkCreateDevice", result)
        guard let device = unsafe device else { throw .missing("vkCreateDevice makes nothing") }
        return unsafe device
    }

    private static func memories(of physical: VulkanPhysicalDevice) -> [VkMemoryType] {
        var properties = VkPhysicalDeviceMemoryProperties()
        unsafe physical.instance.calls.memories(physical.handle, &properties)
        return unsafe withUnsafeBytes(of: properties.types) { bytes in
            unsafe Array(bytes.bindMemory(to: VkMemoryType.self).prefix(Int(properties.typeCount)))
        }
    }

    /// `vkQueueSubmit`; `fence` tells when it is done.
    @unsafe
    func submit(_ info: UnsafePointer<VkSubmitInfo>, _ fence: VkFence) -> VkResult {
        turn.withLock { _ in unsafe calls.submit(queue, 1, info, fence) }
    }
}

/// The functions that a device answers for.
@unsafe
struct DeviceCalls {
    let destroy: PFN_vkDestroyDevice
    let queue: PFN_vkGetDeviceQueue
    let submit: PFN_vkQueueSubmit
    let allocate: PFN_vkAllocateMemory
    let free: PFN_vkFreeMemory
    let exportMemory: PFN_vkGetMemoryFdKHR
    let memoryOf: PFN_vkGetMemoryFdPropertiesKHR
    let createBuffer: PFN_vkCreateBuffer
    let destroyBuffer: PFN_vkDestroyBuffer
    let bufferNeeds: PFN_vkGetBufferMemoryRequirements
    let bindBuffer: PFN_vkBindBufferMemory
    let createImage: PFN_vkCreateImage
    let destroyImage: PFN_vkDestroyImage
    let imageNeeds: PFN_vkGetImageMemoryRequirements
    let bindImage: PFN_vkBindImageMemory
    let planeLayout: PFN_vkGetImageSubresourceLayout
    /// Only with `VK_EXT_image_drm_format_modifier`.
    let modifier: PFN_vkGetImageDrmFormatModifierPropertiesEXT?
    let createPool: PFN_vkCreateCommandPool
    let destroyPool: PFN_vkDestroyCommandPool
    let allocateCommands: PFN_vkAllocateCommandBuffers
    let begin: PFN_vkBeginCommandBuffer
    let end: PFN_vkEndCommandBuffer
    let barrier: PFN_vkCmdPipelineBarrier
    let copyBuffer: PFN_vkCmdCopyBuffer
    let copyImage: PFN_vkCmdCopyImage
    let fillBuffer: PFN_vkCmdFillBuffer
    let createSemaphore: PFN_vkCreateSemaphore
    let destroySemaphore: PFN_vkDestroySemaphore
    /// Only with `VK_KHR_external_semaphore_fd`.
    let importSemaphore: PFN_vkImportSemaphoreFdKHR?
    let exportSemaphore: PFN_vkGetSemaphoreFdKHR?
    let createFence: PFN_vkCreateFence
    let destroyFence: PFN_vkDestroyFence
    let wait: PFN_vkWaitForFences

    fileprivate init(_ physical: VulkanPhysicalDevice, _ device: VkDevice) throws(VulkanFailure) {
        let find = unsafe physical.instance.calls.deviceFunction
        unsafe destroy = try vulkanCall("vkDestroyDevice") { unsafe find(device, $0) }
        unsafe queue = try vulkanCall("vkGetDeviceQueue") { unsafe find(device, $0) }
        unsafe submit = try vulkanCall("vkQueueSubmit") { unsafe find(device, $0) }
        unsafe allocate = try vulkanCall("vkAllocateMemory") { unsafe find(device, $0) }
        unsafe free = try vulkanCall("vkFreeMemory") { unsafe find(device, $0) }
        unsafe exportMemory = try vulkanCall("vkGetMemoryFdKHR") { unsafe find(device, $0) }
        unsafe memoryOf = try vulkanCall("vkGetMemoryFdPropertiesKHR") { unsafe find(device, $0) }
        unsafe createBuffer = try vulkanCall("vkCreateBuffer") { unsafe find(device, $0) }
        unsafe destroyBuffer = try vulkanCall("vkDestroyBuffer") { unsafe find(device, $0) }
        unsafe bufferNeeds = try vulkanCall("vkGetBufferMemoryRequirements") { unsafe find(device, $0) }
        unsafe bindBuffer = try vulkanCall("vkBindBufferMemory") { unsafe find(device, $0) }
        unsafe createImage = try vulkanCall("vkCreateImage") { unsafe find(device, $0) }
        unsafe destroyImage = try vulkanCall("vkDestroyImage") { unsafe find(device, $0) }
        unsafe imageNeeds = try vulkanCall("vkGetImageMemoryRequirements") { unsafe find(device, $0) }
        unsafe bindImage = try vulkanCall("vkBindImageMemory") { unsafe find(device, $0) }
        unsafe planeLayout = try vulkanCall("vkGetImageSubresourceLayout") { unsafe find(device, $0) }
        unsafe createPool = try vulkanCall("vkCreateCommandPool") { unsafe find(device, $0) }
        unsafe destroyPool = try vulkanCall("vkDestroyCommandPool") { unsafe find(device, $0) }
        unsafe allocateCommands = try vulkanCall("vkAllocateCommandBuffers") { unsafe find(device, $0) }
        unsafe begin = try vulkanCall("vkBeginCommandBuffer") { unsafe find(device, $0) }
        unsafe end = try vulkanCall("vkEndCommandBuffer") { unsafe find(device, $0) }
        unsafe barrier = try vulkanCall("vkCmdPipelineBarrier") { unsafe find(device, $0) }
        unsafe copyBuffer = try vulkanCall("vkCmdCopyBuffer") { unsafe find(device, $0) }
        unsafe copyImage = try vulkanCall("vkCmdCopyImage") { unsafe find(device, $0) }
        unsafe fillBuffer = try vulkanCall("vkCmdFillBuffer") { unsafe find(device, $0) }
        unsafe createSemaphore = try vulkanCall("vkCreateSemaphore") { unsafe find(device, $0) }
        unsafe destroySemaphore = try vulkanCall("vkDestroySemaphore") { unsafe find(device, $0) }
        unsafe createFence = try vulkanCall("vkCreateFence") { unsafe find(device, $0) }
        unsafe destroyFence = try vulkanCall("vkDestroyFence") { unsafe find(device, $0) }
        unsafe wait = try vulkanCall("vkWaitForFences") { unsafe find(device, $0) }
        unsafe modifier =
            physical.knowsModifiers
            ? try vulkanCall("vkGetImageDrmFormatModifierPropertiesEXT") { unsafe find(device, $0) } : nil
        let sharesSyncFiles = physical.sharesSyncFiles
        unsafe importSemaphore =
            sharesSyncFiles ? try vulkanCall("vkImportSemaphoreFdKHR") { unsafe find(device, $0) } : nil
        unsafe exportSemaphore =
            sharesSyncFiles ? try vulkanCall("vkGetSemaphoreFdKHR") { unsafe find(device, $0) } : nil
    }
}
