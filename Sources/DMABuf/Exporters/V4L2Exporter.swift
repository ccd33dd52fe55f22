// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

/// Memory of a video device's driver, as the device itself needs it. Device `/dev/videoN`, usually of group video.
///
/// A buffer has room for a frame of the device's present format at least. It is memory like any other, and no part of a
/// stream: for frames, make a ``VideoQueue``.
public struct V4L2Exporter: Exporter {
    public let name: String
    public let offer: MemoryOffer
    private let node: String

    static let backend = ExporterBackend(
        "v4l2", .required("NODE"), candidates: { V4L2Node.candidates }
    ) { node throws(DMABufError) in try V4L2Exporter(node: node ?? "") }

    /// Throws `unavailable` if the node cannot be opened, `unsupported` if its driver makes no buffers.
    public init(node name: String) throws(DMABufError) {
        let opened = try V4L2Node.opening(name)
        self.name = "v4l2:\(opened.name)"
        node = opened.path
        guard let type = opened.onlyType, opened.supports(.mmap, type), let format = try? opened.format(of: type),
            format.memories.count == 1
        else {
            throw DMABufError(
                .unsupported, "\(self.name): \(opened.capabilities.driver) makes no buffers of one memory")
        }
        offer = MemoryOffer(
            [.cpuMappable, .kernelFences], sizeLimit: (1 << 32) - 4096,
            leastSize: roundUp(UInt64(format.memories[0].byteCount), to: 4096), strideAlignment: 1, device: opened.path,
            permission: "group video")
    }

    public func export(_ request: BufferRequest) throws(DMABufError) -> DescribedBuffer {
        try check(request)
        let node = try V4L2Node.reopening(node)
        guard let type = node.onlyType else { throw DMABufError(.gone, "\(name) moves no frames any more") }
        let present = try node.asking("\(name): ask for its format") { () throws(Errno) in try node.format(of: type) }
        if let format = node.format(for: request, type), format.memories[0].byteCount >= present.memories[0].byteCount,
            let image = format.image
        {
            let memory = try allocate(format, node)
            return try DescribedBuffer(
                BufferDescription(sizes: [memory.byteCount], content: .image(image)), memory: [memory])
        }
        var format = present
        var description = request.linearDescription()
        format.memories[0].byteCount = max(format.memories[0].byteCount, UInt32(description.byteCount))
        let memory = try allocate(format, node)
        description.sizes = [memory.byteCount]
        return try DescribedBuffer(description, memory: [memory])
    }

    /// The buffer lives on when the queue lets it go.
    private func allocate(_ format: V4L2.Format, _ node: V4L2Node) throws(DMABufError) -> DMABuffer {
        let descriptor = try node.asking(
            "\(name): make a buffer of \(format.memories[0].byteCount) bytes",
            remedy: "another program may use the device: stop it first"
        ) { () throws(Errno) in
            let index = try node.createBuffers(1, format, .mmap)
            return try node.exportBuffer(index, format.type)
        }
        _ = try node.asking("\(name): let its queue go") { () throws(Errno) in
            try node.requestBuffers(0, format.type, .mmap)
        }
        return try DMABuffer(adopting: descriptor)
    }
}

extension V4L2Node {
    /// The device's own layout of an image, if it takes it exactly.
    fileprivate func format(for request: BufferRequest, _ type: V4L2.BufferType) -> V4L2.Format? {
        guard case .image(let width, let height, let format) = request,
            let code = VideoFormat.video(format.fourcc, memories: 1).first,
            let found = try? tryFormat(V4L2.Format(type, width: width, height: height, fourcc: code)),
            found.width == width, found.height == height, found.fourcc == code, found.memories.count == 1
        else { return nil }
        return found
    }
}
