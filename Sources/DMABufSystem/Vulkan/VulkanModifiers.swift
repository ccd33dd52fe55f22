// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// Images of others by format and modifier: `VK_EXT_image_drm_format_modifier`.
extension VulkanPhysicalDevice {
    /// A format with a modifier, and what the driver can do with such an image.
    public struct ImageSupport: Sendable {
        public let fourcc: UInt32
        public let modifier: UInt64
        /// How many planes there are in memory, those that the modifier adds included.
        public let planeCount: Int
        public let sharing: Sharing
        /// Pixels.
        public let width: UInt32
        public let height: UInt32
    }

    public var knowsModifiers: Bool {
        knowsDMABufs && extensions.contains("VK_EXT_image_drm_format_modifier")
    }

    /// Every format and modifier of which images can be copied from and to.
    public func images() -> [ImageSupport] {
        guard knowsModifiers else { return [] }
        return VulkanFormat.all.flatMap { fourcc, format in
            modifiers(of: format).compactMap { support(fourcc, format, $0) }
        }
    }

    private func modifiers(of format: VkFormat) -> [VkDrmFormatModifierPropertiesEXT] {
        // Asked twice: how many, then which.
        let count = modifiers(of: format, into: []).count
        let room = [VkDrmFormatModifierPropertiesEXT](repeating: VkDrmFormatModifierPropertiesEXT(), count: count)
        let copied = VulkanConstant.canBeSource | VulkanConstant.canBeDestination
        return modifiers(of: format, into: room).list.filter { $0.features & copied == copied }
    }

    private func modifiers(
        of format: VkFormat, into room: [VkDrmFormatModifierPropertiesEXT]
    ) -> (list: [VkDrmFormatModifierPropertiesEXT], count: Int) {
        var list = unsafe VkDrmFormatModifierPropertiesListEXT()
        unsafe list.type = VulkanType.modifierList
        unsafe list.count = UInt32(room.count)
        var properties = unsafe VkFormatProperties2()
        unsafe properties.type = VulkanType.formatProperties
        var room = room
        unsafe room.withUnsafeMutableBufferPointer { room in
            unsafe list.modifiers = room.isEmpty ? nil : room.baseAddress
            unsafe withUnsafeMutablePointer(to: &list) { list in
                unsafe properties.next = UnsafeMutableRawPointer(list)
                unsafe instance.calls.format(handle, format, &properties)
            }
        }
        let count = unsafe Int(list.count)
        return (Array(room.prefix(count)), count)
    }

    private func support(
        _ fourcc: UInt32, _ format: VkFormat, _ modifier: VkDrmFormatModifierPropertiesEXT
    ) -> ImageSupport? {
        var asked = unsafe VkPhysicalDeviceImageDrmFormatModifierInfoEXT()
        unsafe asked.type = VulkanType.modifierImageFormat
        unsafe asked.modifier = modifier.modifier
        var external = unsafe VkPhysicalDeviceExternalImageFormatInfo()
        unsafe external.type = VulkanType.externalImageFormat
        unsafe external.handleType = VulkanConstant.dmaBuf
        var info = unsafe VkPhysicalDeviceImageFormatInfo2()
        unsafe info.type = VulkanType.imageFormat
        unsafe info.format = format
        unsafe info.kind = VulkanConstant.flatImage
        unsafe info.tiling = VulkanConstant.modifierTiling
        unsafe info.usage = VulkanConstant.transferSource | VulkanConstant.transferDestination
        var sharing = unsafe VkExternalImageFormatProperties()
        unsafe sharing.type = VulkanType.externalImageFormatProperties
        var answer = unsafe VkImageFormatProperties2()
        unsafe answer.type = VulkanType.imageFormatProperties
        let result = unsafe withUnsafePointer(to: asked) { asked in
            unsafe external.next = UnsafeRawPointer(asked)
            return unsafe withUnsafePointer(to: external) { external in
                unsafe info.next = UnsafeRawPointer(external)
                return unsafe withUnsafeMutablePointer(to: &sharing) { sharing in
                    unsafe answer.next = UnsafeMutableRawPointer(sharing)
                    return unsafe instance.calls.imageFormat(handle, &info, &answer)
                }
            }
        }
        guard result == 0 else { return nil }
        let limit = unsafe answer.properties.extentLimit
        return ImageSupport(
            fourcc: fourcc, modifier: modifier.modifier, planeCount: Int(modifier.planeCount),
            sharing: unsafe Sharing(sharing.memory.features), width: limit.width, height: limit.height)
    }
}
