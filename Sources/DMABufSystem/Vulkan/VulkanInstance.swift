// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// The Vulkan loader, and what its drivers know of: `libvulkan.so.1`, looked for at run time.
///
/// Drivers run inside this process. A driver that is broken takes the process with it, so who must not die asks another
/// process.
@safe
public final class VulkanInstance: @unchecked Sendable {
    let calls: InstanceCalls
    private let handle: VkInstance

    /// Throws `missing` without a loader, `refused` without a driver.
    public init() throws(VulkanFailure) {
        let library: DynamicLibrary
        do throws(DynamicLibrary.Missing) { library = try DynamicLibrary("libvulkan.so.1") } catch {
            throw .missing(error.reason)
        }
        guard let find = unsafe library.function("vkGetInstanceProcAddr", as: PFN_vkGetInstanceProcAddr.self) else {
            throw .missing("libvulkan.so.1 has no vkGetInstanceProcAddr")
        }
        let create: PFN_vkCreateInstance = unsafe try vulkanCall("vkCreateInstance") { unsafe find(nil, $0) }
        var instance: VkInstance?
        var application = unsafe VkApplicationInfo()
        unsafe application.type = VulkanType.application
        unsafe application.apiVersion = VulkanConstant.version
        try unsafe withUnsafePointer(to: application) { application throws(VulkanFailure) in
            var info = unsafe VkInstanceCreateInfo()
            unsafe info.type = VulkanType.instance
            unsafe info.application = application
            try unsafe succeeding("vkCreateInstance", create(&info, nil, &instance))
        }
        guard let instance = unsafe instance else { throw .missing("vkCreateInstance makes nothing") }
        unsafe handle = instance
        do throws(VulkanFailure) { unsafe calls = try InstanceCalls(find, instance) } catch {
            // Nobody comes to its end otherwise.
            if let found = try? unsafe vulkanCall("vkDestroyInstance", { unsafe find(instance, $0) })
                as PFN_vkDestroyInstance
            {
                unsafe found(instance, nil)
            }
            throw error
        }
    }

    deinit { unsafe calls.destroy(handle, nil) }

    /// The devices that its drivers have, in the loader's order: real ones first, as a rule.
    public func devices() throws(VulkanFailure) -> [VulkanPhysicalDevice] {
        // The count may change between the two calls: what came in between is left out.
        var count: UInt32 = 0
        try unsafe succeeding("vkEnumeratePhysicalDevices", calls.devices(handle, &count, nil))
        var handles = unsafe [VkPhysicalDevice?](repeating: nil, count: Int(count))
        let incomplete: VkResult = 5
        let result = unsafe handles.withUnsafeMutableBufferPointer {
            unsafe calls.devices(handle, &count, $0.baseAddress)
        }
        if result != incomplete { try succeeding("vkEnumeratePhysicalDevices", result) }
        var found: [VulkanPhysicalDevice] = []
        for index in 0..<Int(count) {
            if let handle = unsafe handles[index] { unsafe found.append(try VulkanPhysicalDevice(handle, of: self)) }
        }
        return found
    }
}

/// The functions that an instance answers for.
@unsafe
struct InstanceCalls {
    let destroy: PFN_vkDestroyInstance
    let devices: PFN_vkEnumeratePhysicalDevices
    let properties: PFN_vkGetPhysicalDeviceProperties2
    let extensions: PFN_vkEnumerateDeviceExtensionProperties
    let families: PFN_vkGetPhysicalDeviceQueueFamilyProperties
    let memories: PFN_vkGetPhysicalDeviceMemoryProperties
    let externalBuffer: PFN_vkGetPhysicalDeviceExternalBufferProperties
    let externalSemaphore: PFN_vkGetPhysicalDeviceExternalSemaphoreProperties
    let format: PFN_vkGetPhysicalDeviceFormatProperties2
    let imageFormat: PFN_vkGetPhysicalDeviceImageFormatProperties2
    let createDevice: PFN_vkCreateDevice
    let deviceFunction: PFN_vkGetDeviceProcAddr

    fileprivate init(_ find: PFN_vkGetInstanceProcAddr, _ instance: VkInstance) throws(VulkanFailure) {
        unsafe destroy = try vulkanCall("vkDestroyInstance") { unsafe find(instance, $0) }
        unsafe devices = try vulkanCall("vkEnumeratePhysicalDevices") { unsafe find(instance, $0) }
        unsafe properties = try vulkanCall("vkGetPhysicalDeviceProperties2") { unsafe find(instance, $0) }
        unsafe extensions = try vulkanCall("vkEnumerateDeviceExtensionProperties") { unsafe find(instance, $0) }
        unsafe families = try vulkanCall("vkGetPhysicalDeviceQueueFamilyProperties") { unsafe find(instance, $0) }
        unsafe memories = try vulkanCall("vkGetPhysicalDeviceMemoryProperties") { unsafe find(instance, $0) }
        unsafe externalBuffer = try vulkanCall("vkGetPhysicalDeviceExternalBufferProperties") {
            unsafe find(instance, $0)
        }
        unsafe externalSemaphore = try vulkanCall("vkGetPhysicalDeviceExternalSemaphoreProperties") {
            unsafe find(instance, $0)
        }
        unsafe format = try vulkanCall("vkGetPhysicalDeviceFormatProperties2") { unsafe find(instance, $0) }
        unsafe imageFormat = try vulkanCall("vkGetPhysicalDeviceImageFormatProperties2") { unsafe find(instance, $0) }
        unsafe createDevice = try vulkanCall("vkCreateDevice") { unsafe find(instance, $0) }
        unsafe deviceFunction = try vulkanCall("vkGetDeviceProcAddr") { unsafe find(instance, $0) }
    }
}
