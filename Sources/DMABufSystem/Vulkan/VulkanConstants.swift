// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// `VkStructureType`, as `vulkan_core.h` numbers it.
enum VulkanType {
    static let application: VkStructureType = 0
    static let instance: VkStructureType = 1
    static let queue: VkStructureType = 2
    static let device: VkStructureType = 3
    static let submit: VkStructureType = 4
    static let memory: VkStructureType = 5
    static let fence: VkStructureType = 8
    static let semaphore: VkStructureType = 9
    static let buffer: VkStructureType = 12
    static let image: VkStructureType = 14
    static let commandPool: VkStructureType = 39
    static let commandBuffer: VkStructureType = 40
    static let begin: VkStructureType = 42
    static let bufferBarrier: VkStructureType = 44
    static let imageBarrier: VkStructureType = 45
    static let deviceProperties: VkStructureType = 1_000_059_001
    static let formatProperties: VkStructureType = 1_000_059_002
    static let imageFormatProperties: VkStructureType = 1_000_059_003
    static let imageFormat: VkStructureType = 1_000_059_004
    static let externalImageFormat: VkStructureType = 1_000_071_000
    static let externalImageFormatProperties: VkStructureType = 1_000_071_001
    static let externalBuffer: VkStructureType = 1_000_071_002
    static let externalBufferProperties: VkStructureType = 1_000_071_003
    static let externalMemoryBuffer: VkStructureType = 1_000_072_000
    static let externalMemoryImage: VkStructureType = 1_000_072_001
    static let exportMemory: VkStructureType = 1_000_072_002
    static let importMemory: VkStructureType = 1_000_074_000
    static let memoryDescriptorProperties: VkStructureType = 1_000_074_001
    static let memoryDescriptor: VkStructureType = 1_000_074_002
    static let externalSemaphore: VkStructureType = 1_000_076_000
    static let externalSemaphoreProperties: VkStructureType = 1_000_076_001
    static let exportSemaphore: VkStructureType = 1_000_077_000
    static let importSemaphore: VkStructureType = 1_000_079_000
    static let semaphoreDescriptor: VkStructureType = 1_000_079_001
    static let dedicated: VkStructureType = 1_000_127_001
    static let modifierList: VkStructureType = 1_000_158_000
    static let modifierImageFormat: VkStructureType = 1_000_158_002
    static let modifierChoice: VkStructureType = 1_000_158_003
    static let modifierExplicit: VkStructureType = 1_000_158_004
    static let modifierProperties: VkStructureType = 1_000_158_005
    static let driverProperties: VkStructureType = 1_000_196_000
    static let drmProperties: VkStructureType = 1_000_353_000
}

/// Bits and numbers of other enumerations, named as there without `VK_`.
enum VulkanConstant {
    /// `EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT`
    static let dmaBuf: VkFlags = 0x200
    /// `EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT`
    static let syncFile: VkFlags = 0x10

    // EXTERNAL_MEMORY_FEATURE_*
    static let dedicatedOnly: VkFlags = 1
    static let exportable: VkFlags = 2
    static let importable: VkFlags = 4
    // EXTERNAL_SEMAPHORE_FEATURE_*
    static let semaphoreExportable: VkFlags = 1
    static let semaphoreImportable: VkFlags = 2
    /// `SEMAPHORE_IMPORT_TEMPORARY_BIT`: the payload of a sync_file is used once.
    static let temporary: VkFlags = 1

    // BUFFER_USAGE_*, and IMAGE_USAGE_* with the same numbers
    static let transferSource: VkFlags = 1
    static let transferDestination: VkFlags = 2

    // FORMAT_FEATURE_*
    static let canBeSource: VkFlags = 0x4000
    static let canBeDestination: VkFlags = 0x8000

    // QUEUE_*
    static let graphics: VkFlags = 1
    static let compute: VkFlags = 2
    static let transfer: VkFlags = 4

    // ACCESS_*
    static let transferRead: VkFlags = 0x800
    static let transferWrite: VkFlags = 0x1000
    // PIPELINE_STAGE_*
    static let transferStage: VkFlags = 0x1000
    static let bottomOfPipe: VkFlags = 0x2000

    // IMAGE_LAYOUT_*
    static let undefined: Int32 = 0
    static let general: Int32 = 1
    static let sourceLayout: Int32 = 6
    static let destinationLayout: Int32 = 7

    /// `IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT`
    static let modifierTiling: Int32 = 1_000_158_000
    /// `IMAGE_TYPE_2D`
    static let flatImage: Int32 = 1

    // QUEUE_FAMILY_*
    static let foreignFamily = ~UInt32(0) - 2
    static let externalFamily = ~UInt32(0) - 1

    // IMAGE_ASPECT_*
    static let color: VkFlags = 1
    /// `PLANE_n_BIT` of a format of several planes.
    static func plane(_ index: Int) -> VkFlags { 0x10 << VkFlags(index) }
    /// `MEMORY_PLANE_n_BIT_EXT` of a modifier.
    static func memoryPlane(_ index: Int) -> VkFlags { 0x80 << VkFlags(index) }

    /// Vulkan 1.1, which has all that is used here but the extensions.
    static let version: UInt32 = 1 << 22 | 1 << 12
}
