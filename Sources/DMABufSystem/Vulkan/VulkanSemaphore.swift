// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// What a queue waits for or raises, in exchange with sync_files: `VK_KHR_external_semaphore_fd`.
@safe
public final class VulkanSemaphore: @unchecked Sendable {
    let handle: VkSemaphore
    private let device: VulkanDevice

    /// One that can be exported, if `isExportable`.
    init(_ device: VulkanDevice, isExportable: Bool = false) throws(VulkanFailure) {
        var export = unsafe VkExportSemaphoreCreateInfo()
        unsafe export.type = VulkanType.exportSemaphore
        unsafe export.handleTypes = VulkanConstant.syncFile
        var info = unsafe VkSemaphoreCreateInfo()
        unsafe info.type = VulkanType.semaphore
        var semaphore: VkSemaphore = 0
        let result = unsafe withUnsafePointer(to: export) { export in
            if isExportable { unsafe info.next = UnsafeRawPointer(export) }
            return unsafe device.calls.createSemaphore(device.handle, &info, nil, &semaphore)
        }
        try succeeding("vkCreateSemaphore", result)
        (self.device, handle) = (device, semaphore)
    }

    /// One that a queue waits for once, until the sync_file has signalled; borrows its descriptor.
    public convenience init(_ device: VulkanDevice, from file: borrowing Descriptor) throws(VulkanFailure) {
        try self.init(device)
        guard let call = unsafe device.calls.importSemaphore else { throw .missing("the driver takes no sync_files") }
        let copy: Descriptor
        do { copy = try file.duplicate() } catch { throw .missing("no descriptor is left: \(error)") }
        var info = unsafe VkImportSemaphoreFdInfoKHR()
        unsafe info.type = VulkanType.importSemaphore
        unsafe info.semaphore = handle
        unsafe info.flags = VulkanConstant.temporary
        unsafe info.handleType = VulkanConstant.syncFile
        unsafe info.descriptor = copy.number
        try unsafe succeeding("vkImportSemaphoreFdKHR", call(device.handle, &info))
        // The driver's now.
        _ = copy.release()
    }

    deinit { unsafe device.calls.destroySemaphore(device.handle, handle, nil) }

    /// A sync_file of the work that will raise it, once that has been submitted; the caller owns the descriptor. nil if it
    /// has been raised already.
    func export() throws(VulkanFailure) -> Descriptor? {
        guard let call = unsafe device.calls.exportSemaphore else { throw .missing("the driver gives no sync_files") }
        var info = unsafe VkSemaphoreGetFdInfoKHR()
        unsafe info.type = VulkanType.semaphoreDescriptor
        unsafe info.semaphore = handle
        unsafe info.handleType = VulkanConstant.syncFile
        var number: CInt = -1
        try unsafe succeeding("vkGetSemaphoreFdKHR", call(device.handle, &info, &number))
        return number < 0 ? nil : Descriptor(adopting: number)
    }
}
