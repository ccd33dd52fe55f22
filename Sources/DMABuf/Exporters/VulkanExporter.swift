// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem

/// Memory of a graphics processor, as its Vulkan driver lends it: an image that it knows lies as it likes its linear ones,
/// anything else is plain bytes.
public struct VulkanExporter: Exporter {
    public let offer: MemoryOffer
    private let gpu: GPU
    public var name: String { gpu.name }

    static let backend = ExporterBackend(
        "vulkan", .optional("N"), candidates: { VulkanNumber.candidates }
    ) { number throws(DMABufError) in try VulkanExporter(try GPU(try VulkanNumber.read(number))) }

    /// Throws `unsupported` if the driver lends no memory.
    public init(_ gpu: GPU) throws(DMABufError) {
        self.gpu = gpu
        guard gpu.device.sharesBuffers.exports else {
            throw DMABufError(
                .unsupported, "\(gpu.name): \(gpu.driver) exports no dma-bufs",
                remedy: "a driver that runs on the CPU makes them of /dev/udmabuf: see that this user may open it")
        }
        // What the driver does not say: whether the CPU gets to see it.
        let sample = try Self.bytes(4096, gpu)
        var traits: MemoryTraits = .kernelFences
        if (try? CPUImporter().attach(sample, for: .readWrite).map().unmap()) != nil { traits.insert(.cpuMappable) }
        offer = MemoryOffer(traits, strideAlignment: 1)
    }

    public func export(_ request: BufferRequest) throws(DMABufError) -> DescribedBuffer {
        try check(request)
        if case .image(let width, let height, let format) = request,
            let support = gpu.images.first(where: {
                $0.fourcc == format.fourcc && $0.modifier == Modifier.linear.rawValue && $0.sharing.exports
                    && width <= $0.width && height <= $0.height
            })
        {
            return try image(width, height, format, support)
        }
        var description = request.linearDescription()
        let memory = try zeroed(Self.bytes(description.byteCount, gpu))
        description.sizes = [memory.byteCount]
        return try DescribedBuffer(description, memory: [memory])
    }

    private func image(
        _ width: UInt32, _ height: UInt32, _ format: PixelFormat, _ support: VulkanPhysicalDevice.ImageSupport
    ) throws(DMABufError) -> DescribedBuffer {
        let shape = VulkanImage.Shape(
            width: width, height: height, fourcc: format.fourcc, modifier: support.modifier)
        let exported = try vulkan("\(name): make an image of \(width)x\(height) \(format.text)") {
            () throws(VulkanFailure) in
            try VulkanImage.exported(shape, planeCount: support.planeCount, gpu.device)
        }
        let planes = exported.planes.map {
            ImageLayout.Plane(memory: 0, offset: $0.offset, stride: UInt32(clamping: $0.stride))
        }
        let memory = try zeroed(DMABuffer(adopting: exported.takeDescriptor()))
        let layout = ImageLayout(
            width: width, height: height, fourcc: format.fourcc, modifier: .linear, planes: planes)
        return try DescribedBuffer(
            BufferDescription(sizes: [memory.byteCount], content: .image(layout)), memory: [memory])
    }

    private static func bytes(_ byteCount: UInt64, _ gpu: GPU) throws(DMABufError) -> DMABuffer {
        let descriptor = try vulkan("\(gpu.name): make \(byteCount) bytes") { () throws(VulkanFailure) in
            try VulkanBuffer.exported(byteCount: byteCount, gpu.device)
        }
        return try DMABuffer(adopting: descriptor)
    }

    /// A driver promises nothing of what is in new memory.
    private func zeroed(_ memory: DMABuffer) throws(DMABufError) -> DMABuffer {
        if case .failed(let error) = try gpu.fill(memory, with: 0)?.wait(until: .after(.seconds(10))) {
            throw .system("\(gpu.name): zero new memory", error)
        }
        return memory
    }
}
