// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

/// Memory of a GPU, as Mesa's driver for it lays it out. Device `/dev/dri/cardN`, usually of group video, or
/// `/dev/dri/renderDN`, usually of group render; `libgbm.so.1`, which is looked for at run time.
///
/// Linear images. What the driver has no format for lies in lines of one that every driver has, and so do plain bytes.
public struct GBMExporter: Exporter {
    public let name: String
    public let offer: MemoryOffer
    private let device: GBMDevice
    private let use: GBM.Use

    static let backend = ExporterBackend(
        "gbm", .required("NODE"), candidates: { gpus }
    ) { node throws(DMABufError) in try GBMExporter(node: node ?? "") }

    /// Throws `unavailable` if the node cannot be opened or there is no libgbm, `unsupported` if its driver exports
    /// nothing, `failed` if a first buffer cannot be made.
    public init(node name: String) throws(DMABufError) {
        let node = try attempting(
            "gbm:\(name.escapedForDisplay): open it",
            remedy: "name a card or a render node of /dev/dri that this user may open"
        ) { () throws(Errno) in try DRMNode(name) }
        self.name = "gbm:\(node.name)"
        device = try Self.load(for: node)
        let showing = node.isPrimary && node.hasDisplay
        use = showing && device.supports(fourcc: PixelFormat.xrgb8888.fourcc, [.linear, .scanout]) ? .scanout : []
        var traits: MemoryTraits = [.cpuMappable, .kernelFences]
        if showing { traits.insert(.scanout) }
        offer = MemoryOffer(
            traits, sizeLimit: UInt64(Self.sideLimit * Self.sideLimit) * 4, strideAlignment: 1, device: node.path,
            permission: node.isPrimary ? "group video" : "group render")
        // That a driver was found does not say that it makes anything: a display driver's render node does not.
        _ = try export(.bytes(1))
    }

    public func export(_ request: BufferRequest) throws(DMABufError) -> DescribedBuffer {
        try check(request)
        switch request {
        case .bytes(let byteCount): return try makeBytes(byteCount)
        case .image(let width, let height, let format):
            if device.supports(fourcc: format.fourcc, use.union(.linear)),
                let made = try? make(width: width, height: height, format)
            {
                return made
            }
            let (words, lines) = try request.dumbShape(exporter: name)
            let made = try make(width: words, height: lines, .xrgb8888)
            return try made.holding(request.dumbContent(stride: made.description.image?.planes[0].stride ?? 0))
        }
    }

    /// As lines of whole pages; where the driver wants more lines than that, as 64 lines of single bytes, if that is less.
    private func makeBytes(_ byteCount: UInt64) throws(DMABufError) -> DescribedBuffer {
        let pages = UInt32((byteCount + 4095) / 4096)
        let width = (pages + Self.sideLimit - 1) / Self.sideLimit
        let made = try make(width: width * 1024, height: (pages + width - 1) / width, .xrgb8888)
        let wanted = UInt64(pages) * 4096
        if made.description.byteCount > wanted, pages <= Self.sideLimit / 64, let format = PixelFormat("R8  "),
            device.supports(fourcc: format.fourcc, use.union(.linear)),
            let other = try? make(width: pages * 64, height: 64, format),
            wanted..<made.description.byteCount ~= other.description.byteCount
        {
            return try other.holding(.bytes)
        }
        return try made.holding(.bytes)
    }

    /// An image as the driver lays it out, zeroed: a driver may hand out what it has used before.
    private func make(
        width: UInt32, height: UInt32, _ format: PixelFormat
    ) throws(DMABufError) -> DescribedBuffer {
        let what = "\(name): make an image of \(width)x\(height) \(format.text)"
        let made = try attempting(what, remedy: "\(device.node.driver) may make none on this node; try another") {
            () throws(Errno) in
            try device.createLinear(width: width, height: height, fourcc: format.fourcc, use)
        }
        guard [Modifier.linear.rawValue, Modifier.invalid.rawValue].contains(made.modifier) else {
            throw DMABufError(.unsupported, "\(what): its driver makes no linear ones")
        }
        var handles: [UInt32?] = []
        var memory: [DMABuffer] = []
        var planes: [ImageLayout.Plane] = []
        for plane in made.planes {
            // Without a handle each plane counts as memory of its own.
            if plane.handle == nil || !handles.contains(plane.handle) {
                let file = try attempting("\(what): export it") { () throws(Errno) in try made.export(plane) }
                memory.append(try DMABuffer(adopting: file))
                handles.append(plane.handle)
            }
            let index = plane.handle == nil ? memory.count - 1 : handles.firstIndex(of: plane.handle) ?? 0
            planes.append(.init(memory: index, offset: UInt64(plane.offset), stride: plane.stride))
        }
        for memory in memory { try clear(memory) }
        let image = ImageLayout(
            width: width, height: height, fourcc: format.fourcc, modifier: .linear, planes: planes)
        return try DescribedBuffer(
            BufferDescription(sizes: memory.map(\.byteCount), content: .image(image)), memory: memory)
    }

    private func clear(_ memory: DMABuffer) throws(DMABufError) {
        var mapping = try CPUImporter().attach(memory, for: .readWrite).map()
        try mapping.withWriteAccess { $0.clear() }
    }
}

extension GBMExporter {
    /// What every GPU takes as a side of an image, in pixels.
    private static let sideLimit: UInt32 = 16384

    private static func load(for node: DRMNode) throws(DMABufError) -> GBMDevice {
        guard node.exportsPrime else {
            throw DMABufError(.unsupported, "gbm:\(node.name): \(node.driver) exports no dma-bufs")
        }
        let library: GBM
        do throws(GBM.Missing) { library = try GBM() } catch {
            throw DMABufError(
                .unavailable, "gbm:\(node.name): \(error.reason)",
                remedy: "install libgbm and Mesa's drivers: packages libgbm1 and libgl1-mesa-dri")
        }
        return try attempting(
            "gbm:\(node.name): load the driver for \(node.driver)",
            remedy: "install Mesa's drivers: package libgl1-mesa-dri"
        ) { () throws(Errno) in try GBMDevice(node, library) }
    }

    /// The render nodes of GPUs. To look at a node is to load its driver into this process, so others are left to who names
    /// them: a display that has no GPU has dumb buffers, which need no driver.
    private static var gpus: [String] {
        DRMNode.names.filter { name in
            guard name.hasPrefix("renderD"), !VGEM.owns(name) else { return false }
            guard let node = try? DRMNode(name) else { return true }
            return node.driver != VirtIOGPU.driver || VirtIOGPU.hasBlobResources(node)
        }
    }
}

extension DescribedBuffer {
    /// The same memory, with other content.
    fileprivate func holding(_ content: BufferDescription.Content) throws(DMABufError) -> DescribedBuffer {
        try DescribedBuffer(BufferDescription(sizes: description.sizes, content: content), memory: memory)
    }
}
