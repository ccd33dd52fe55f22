// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// Memory of a device's: another's dma-buf that it has taken in, or its own that can be lent.
@safe
final class VulkanMemory: @unchecked Sendable {
    let device: VulkanDevice
    let handle: VkDeviceMemory
    let byteCount: UInt64

    /// For what the memory is bound to, where the driver wants to be told.
    enum Dedication {
        case none
        case buffer(VkBuffer)
        case image(VkImage)

        fileprivate var info: VkMemoryDedicatedAllocateInfo? {
            var info = unsafe VkMemoryDedicatedAllocateInfo()
            unsafe info.type = VulkanType.dedicated
            switch self {
            case .none: return nil
            case .buffer(let buffer): unsafe info.buffer = buffer
            case .image(let image): unsafe info.image = image
            }
            return unsafe info
        }
    }

    deinit { unsafe device.calls.free(device.handle, handle, nil) }

    private init(
        _ device: VulkanDevice, _ byteCount: UInt64, _ type: UInt32, _ dedication: Dedication,
        _ extend: (UnsafeRawPointer?, (UnsafeRawPointer) -> VkResult) -> VkResult
    ) throws(VulkanFailure) {
        var info = unsafe VkMemoryAllocateInfo()
        unsafe info.type = VulkanType.memory
        unsafe info.byteCount = byteCount
        unsafe info.memoryType = type
        var memory: VkDeviceMemory = 0
        func allocate(after dedicated: UnsafeRawPointer?) -> VkResult {
            unsafe extend(dedicated) { last in
                unsafe info.next = last
                return unsafe device.calls.allocate(device.handle, &info, nil, &memory)
            }
        }
        let result: VkResult
        if let dedicated = unsafe dedication.info {
            result = unsafe withUnsafePointer(to: dedicated) { unsafe allocate(after: UnsafeRawPointer($0)) }
        } else {
            result = allocate(after: nil)
        }
        try succeeding("vkAllocateMemory", result)
        (self.device, handle, self.byteCount) = (device, memory, byteCount)
    }

    /// Takes in a dma-buf of `byteCount` bytes, of which it keeps a reference of its own; borrows the descriptor.
    ///
    /// `needs` is of what will be bound to it. The corresponding structure is `VkImportMemoryFdInfoKHR`.
    convenience init(
        importing descriptor: borrowing Descriptor, byteCount: UInt64, needs: VkMemoryRequirements,
        _ dedication: Dedication, _ device: VulkanDevice
    ) throws(VulkanFailure) {
        guard needs.byteCount <= byteCount else {
            throw .missing("it takes \(needs.byteCount) bytes, and the dma-buf has \(byteCount)")
        }
        var properties = unsafe VkMemoryFdPropertiesKHR()
        unsafe properties.type = VulkanType.memoryDescriptorProperties
        try unsafe succeeding(
            "vkGetMemoryFdPropertiesKHR",
            device.calls.memoryOf(device.handle, VulkanConstant.dmaBuf, descriptor.number, &properties))
        guard let type = device.memoryType(of: unsafe needs.memoryTypes & properties.memoryTypes) else {
            throw .missing("no kind of its memory can be this dma-buf")
        }
        // The driver owns the descriptor once it has said yes, and only then.
        let copy: Descriptor
        do { copy = try descriptor.duplicate() } catch { throw .missing("no descriptor is left: \(error)") }
        var info = unsafe VkImportMemoryFdInfoKHR()
        unsafe info.type = VulkanType.importMemory
        unsafe info.handleType = VulkanConstant.dmaBuf
        unsafe info.descriptor = copy.number
        unsafe try self.init(device, byteCount, type, dedication) { dedicated, allocate in
            unsafe info.next = dedicated
            return unsafe withUnsafePointer(to: info) { unsafe allocate(UnsafeRawPointer($0)) }
        }
        _ = copy.release()
    }

    /// Memory that can be lent. The corresponding structure is `VkExportMemoryAllocateInfo`.
    convenience init(
        exportable needs: VkMemoryRequirements, _ dedication: Dedication, _ device: VulkanDevice
    ) throws(VulkanFailure) {
        guard let type = device.memoryType(of: needs.memoryTypes) else { throw .missing("no kind of memory suits it") }
        var info = unsafe VkExportMemoryAllocateInfo()
        unsafe info.type = VulkanType.exportMemory
        unsafe info.handleTypes = VulkanConstant.dmaBuf
        unsafe try self.init(device, needs.byteCount, type, dedication) { dedicated, allocate in
            unsafe info.next = dedicated
            return unsafe withUnsafePointer(to: info) { unsafe allocate(UnsafeRawPointer($0)) }
        }
    }

    /// A dma-buf of it; the caller owns the descriptor. The corresponding C function is `vkGetMemoryFdKHR`.
    func export() throws(VulkanFailure) -> Descriptor {
        var info = unsafe VkMemoryGetFdInfoKHR()
        unsafe info.type = VulkanType.memoryDescriptor
        unsafe info.memory = handle
        unsafe info.handleType = VulkanConstant.dmaBuf
        var number: CInt = -1
        try unsafe succeeding("vkGetMemoryFdKHR", device.calls.exportMemory(device.handle, &info, &number))
        return Descriptor(adopting: number)
    }
}

extension VulkanDevice {
    /// The first of the kinds of memory that a mask allows: drivers list the better ones first.
    fileprivate func memoryType(of mask: UInt32) -> UInt32? {
        (0..<UInt32(memories.count)).first { mask & (1 << $0) != 0 }
    }
}
