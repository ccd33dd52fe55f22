// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// A device that a Vulkan driver has, and what it says of itself; nothing of it is open yet.
@safe
public struct VulkanPhysicalDevice: @unchecked Sendable {
    public let name: String
    public let driver: String
    public let kind: Kind
    public let extensions: Set<String>
    /// Its DRM render node's device number, where it has one.
    public let renderNode: (major: UInt32, minor: UInt32)?
    let instance: VulkanInstance
    let handle: VkPhysicalDevice
    /// A family whose queues copy.
    let family: UInt32

    public enum Kind: Int32, Sendable {
        case other, integrated, discrete, virtual, cpu
    }

    init(_ handle: VkPhysicalDevice, of instance: VulkanInstance) throws(VulkanFailure) {
        unsafe (self.handle, self.instance) = (handle, instance)
        extensions = unsafe Self.extensions(of: handle, instance.calls)
        var drm = unsafe VkPhysicalDeviceDrmPropertiesEXT()
        unsafe drm.type = VulkanType.drmProperties
        var driver = unsafe VkPhysicalDeviceDriverProperties()
        unsafe driver.type = VulkanType.driverProperties
        var properties = unsafe VkPhysicalDeviceProperties2()
        unsafe properties.type = VulkanType.deviceProperties
        // A driver skips what it does not know.
        unsafe withUnsafeMutablePointer(to: &drm) { drm in
            unsafe withUnsafeMutablePointer(to: &driver) { driver in
                unsafe driver.pointee.next = UnsafeMutableRawPointer(drm)
                unsafe properties.next = UnsafeMutableRawPointer(driver)
                unsafe instance.calls.properties(handle, &properties)
            }
        }
        name = unsafe vulkanText(properties.properties.name)
        self.driver = unsafe vulkanText(driver.name)
        kind = unsafe Kind(rawValue: properties.properties.kind) ?? .other
        renderNode =
            unsafe drm.hasRender == 0
            ? nil : (UInt32(truncatingIfNeeded: drm.renderMajor), UInt32(truncatingIfNeeded: drm.renderMinor))
        guard let family = unsafe Self.copyingFamily(of: handle, instance.calls) else {
            throw .missing("\(name) has no queue that copies")
        }
        self.family = family
    }

    private static func extensions(of handle: VkPhysicalDevice, _ calls: InstanceCalls) -> Set<String> {
        var count: UInt32 = 0
        guard unsafe calls.extensions(handle, nil, &count, nil) == 0 else { return [] }
        var list = [VkExtensionProperties](repeating: VkExtensionProperties(), count: Int(count))
        let result = unsafe list.withUnsafeMutableBufferPointer {
            unsafe calls.extensions(handle, nil, &count, $0.baseAddress)
        }
        guard result >= 0 else { return [] }
        return Set(list.prefix(Int(count)).map { unsafe vulkanText($0.name) })
    }

    /// The first that can do graphics or compute: those copy whatever the device can (the specification says so, and that
    /// they need not say it of themselves).
    private static func copyingFamily(of handle: VkPhysicalDevice, _ calls: InstanceCalls) -> UInt32? {
        var count: UInt32 = 0
        unsafe calls.families(handle, &count, nil)
        var families = [VkQueueFamilyProperties](repeating: VkQueueFamilyProperties(), count: Int(count))
        unsafe families.withUnsafeMutableBufferPointer { unsafe calls.families(handle, &count, $0.baseAddress) }
        let copying = VulkanConstant.graphics | VulkanConstant.compute | VulkanConstant.transfer
        return families.prefix(Int(count)).firstIndex { $0.flags & copying != 0 && $0.count > 0 }.map { UInt32($0) }
    }

    // MARK: What can be shared

    /// What the driver can do with memory of others, or with its own for others.
    public struct Sharing: Equatable, Sendable {
        public var exports: Bool
        public var imports: Bool
        /// Each dma-buf is one image or one buffer, and is told so (`EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT`).
        public var dedicatedOnly: Bool

        static let none = Sharing(exports: false, imports: false, dedicatedOnly: false)

        init(exports: Bool, imports: Bool, dedicatedOnly: Bool) {
            self.exports = exports
            self.imports = imports
            self.dedicatedOnly = dedicatedOnly
        }

        init(_ features: VkFlags) {
            exports = features & VulkanConstant.exportable != 0
            imports = features & VulkanConstant.importable != 0
            dedicatedOnly = features & VulkanConstant.dedicatedOnly != 0
        }
    }

    /// `VK_EXT_external_memory_dma_buf` and what it rests on.
    public var knowsDMABufs: Bool {
        extensions.isSuperset(of: ["VK_KHR_external_memory_fd", "VK_EXT_external_memory_dma_buf"])
    }

    /// What it can do with plain bytes.
    public var sharesBuffers: Sharing {
        guard knowsDMABufs else { return .none }
        var info = unsafe VkPhysicalDeviceExternalBufferInfo()
        unsafe info.type = VulkanType.externalBuffer
        unsafe info.usage = VulkanConstant.transferSource | VulkanConstant.transferDestination
        unsafe info.handleType = VulkanConstant.dmaBuf
        var properties = unsafe VkExternalBufferProperties()
        unsafe properties.type = VulkanType.externalBufferProperties
        unsafe instance.calls.externalBuffer(handle, &info, &properties)
        return unsafe Sharing(properties.memory.features)
    }

    /// Whether sync_files come in and go out as semaphores.
    public var sharesSyncFiles: Bool {
        guard extensions.contains("VK_KHR_external_semaphore_fd") else { return false }
        var info = unsafe VkPhysicalDeviceExternalSemaphoreInfo()
        unsafe info.type = VulkanType.externalSemaphore
        unsafe info.handleType = VulkanConstant.syncFile
        var properties = unsafe VkExternalSemaphoreProperties()
        unsafe properties.type = VulkanType.externalSemaphoreProperties
        unsafe instance.calls.externalSemaphore(handle, &info, &properties)
        let both = VulkanConstant.semaphoreExportable | VulkanConstant.semaphoreImportable
        return unsafe properties.features & both == both
    }

    /// Whether the driver tells foreign owners apart; if not, they are merely external.
    var foreignFamily: UInt32 {
        extensions.contains("VK_EXT_queue_family_foreign")
            ? VulkanConstant.foreignFamily : VulkanConstant.externalFamily
    }
}
