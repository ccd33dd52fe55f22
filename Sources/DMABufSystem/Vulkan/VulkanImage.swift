// SPDX-License-Identifier: Apache-2.0

import CVulkan

/// An image that a device copies from and to, in a dma-buf whose lines lie as its modifier says.
///
/// The corresponding extension is `VK_EXT_image_drm_format_modifier`.
@safe
public final class VulkanImage: @unchecked Sendable {
    public let shape: Shape
    let device: VulkanDevice
    let handle: VkImage
    /// Held; the image is destroyed before it.
    private let memory: VulkanMemory

    public struct Shape: Equatable, Sendable {
        /// Pixels.
        public var width: UInt32
        public var height: UInt32
        public var fourcc: UInt32
        public var modifier: UInt64

        public init(width: UInt32, height: UInt32, fourcc: UInt32, modifier: UInt64) {
            self.width = width
            self.height = height
            self.fourcc = fourcc
            self.modifier = modifier
        }
    }

    /// Where a plane lies in its dma-buf, in bytes.
    public struct Plane: Equatable, Sendable {
        public var offset: UInt64
        public var stride: UInt64

        public init(offset: UInt64, stride: UInt64) {
            self.offset = offset
            self.stride = stride
        }
    }

    deinit { unsafe device.calls.destroyImage(device.handle, handle, nil) }

    /// Takes in an image of another's that lies in one dma-buf of `byteCount` bytes; borrows the descriptor.
    public convenience init(
        importing descriptor: borrowing Descriptor, byteCount: UInt64, _ shape: Shape, planes: [Plane],
        dedicated: Bool, _ device: VulkanDevice
    ) throws(VulkanFailure) {
        let layouts = planes.map { plane in
            VkSubresourceLayout(
                offset: plane.offset, byteCount: 0, stride: plane.stride, layerStride: 0, depthStride: 0)
        }
        let handle = try Self.create(shape, .explicit(layouts), device)
        do throws(VulkanFailure) {
            let memory = try VulkanMemory(
                importing: descriptor, byteCount: byteCount, needs: Self.needs(handle, device),
                dedicated ? .image(handle) : .none, device)
            try unsafe succeeding("vkBindImageMemory", device.calls.bindImage(device.handle, handle, memory.handle, 0))
            self.init(handle, memory, shape, device)
        } catch {
            unsafe device.calls.destroyImage(device.handle, handle, nil)
            throw error
        }
    }

    /// An image that can be lent.
    public struct Exported: ~Copyable {
        /// A dma-buf of it, which keeps the memory; the caller owns it.
        public let descriptor: Descriptor
        public let planes: [Plane]

        public consuming func takeDescriptor() -> Descriptor { descriptor }
    }

    /// Makes an image of that shape that can be lent, laid out as the driver likes, whatever is in it.
    public static func exported(
        _ shape: Shape, planeCount: Int, _ device: VulkanDevice
    ) throws(VulkanFailure) -> Exported {
        let handle = try create(shape, .chosen, device)
        defer { unsafe device.calls.destroyImage(device.handle, handle, nil) }
        // An image that is lent has memory of its own, whether the driver insists or not.
        let memory = try VulkanMemory(exportable: needs(handle, device), .image(handle), device)
        try unsafe succeeding("vkBindImageMemory", device.calls.bindImage(device.handle, handle, memory.handle, 0))
        let planes = (0..<planeCount).map { index in
            var plane = VkImageSubresource(aspect: VulkanConstant.memoryPlane(index), mipLevel: 0, layer: 0)
            var layout = VkSubresourceLayout()
            unsafe device.calls.planeLayout(device.handle, handle, &plane, &layout)
            return Plane(offset: layout.offset, stride: layout.stride)
        }
        return Exported(descriptor: try memory.export(), planes: planes)
    }

    private init(_ handle: VkImage, _ memory: VulkanMemory, _ shape: Shape, _ device: VulkanDevice) {
        (self.device, self.handle, self.memory, self.shape) = (device, handle, memory, shape)
    }

    fileprivate enum Planes {
        case explicit([VkSubresourceLayout])
        /// The driver's own for the modifier.
        case chosen
    }

    private static func create(
        _ shape: Shape, _ planes: Planes, _ device: VulkanDevice
    ) throws(VulkanFailure) -> VkImage {
        guard let format = VulkanFormat.format(of: shape.fourcc), device.physical.knowsModifiers else {
            throw .missing("\(device.physical.name) knows no images of this format by modifier")
        }
        var external = unsafe VkExternalMemoryImageCreateInfo()
        unsafe external.type = VulkanType.externalMemoryImage
        unsafe external.handleTypes = VulkanConstant.dmaBuf
        var info = unsafe VkImageCreateInfo()
        unsafe info.type = VulkanType.image
        unsafe info.kind = VulkanConstant.flatImage
        unsafe info.format = format
        unsafe info.extent = VkExtent3D(width: shape.width, height: shape.height, depth: 1)
        unsafe (info.mipLevels, info.layers, info.samples) = (1, 1, 1)
        unsafe info.tiling = VulkanConstant.modifierTiling
        unsafe info.usage = VulkanConstant.transferSource | VulkanConstant.transferDestination
        unsafe info.layout = VulkanConstant.undefined
        var image: VkImage = 0
        let result = unsafe planes.with(shape.modifier) { planes in
            unsafe external.next = planes
            return unsafe withUnsafePointer(to: external) { external in
                unsafe info.next = UnsafeRawPointer(external)
                return unsafe device.calls.createImage(device.handle, &info, nil, &image)
            }
        }
        try succeeding("vkCreateImage", result)
        return image
    }

    private static func needs(_ image: VkImage, _ device: VulkanDevice) -> VkMemoryRequirements {
        var needs = VkMemoryRequirements()
        unsafe device.calls.imageNeeds(device.handle, image, &needs)
        return needs
    }
}

extension VulkanImage.Planes {
    /// The structure that says so, for the call.
    @unsafe
    fileprivate func with(_ modifier: UInt64, _ body: (UnsafeRawPointer) -> VkResult) -> VkResult {
        switch self {
        case .explicit(let layouts):
            unsafe layouts.withUnsafeBufferPointer { layouts in
                var info = unsafe VkImageDrmFormatModifierExplicitCreateInfoEXT()
                unsafe info.type = VulkanType.modifierExplicit
                unsafe info.modifier = modifier
                unsafe info.planeCount = UInt32(layouts.count)
                unsafe info.planes = layouts.baseAddress
                return unsafe withUnsafePointer(to: info) { unsafe body(UnsafeRawPointer($0)) }
            }
        case .chosen:
            unsafe withUnsafePointer(to: modifier) { modifier in
                var info = unsafe VkImageDrmFormatModifierListCreateInfoEXT()
                unsafe info.type = VulkanType.modifierChoice
                unsafe info.count = 1
                unsafe info.modifiers = modifier
                return unsafe withUnsafePointer(to: info) { unsafe body(UnsafeRawPointer($0)) }
            }
        }
    }
}
