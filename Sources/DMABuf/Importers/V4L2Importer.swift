// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

/// A video device, which captures into the buffers of others or shows them. Device `/dev/videoN`, usually of group video.
///
/// It takes a buffer for the format that the device has now; to choose another, and to move frames, make a ``VideoQueue``.
/// Attached is mapped: the device can reach the memory, and nothing has been queued.
public struct V4L2Importer: Importer {
    public let name: String
    private let imports: VideoImports

    static let backend = ImporterBackend(
        "v4l2", .required("NODE"), candidates: { V4L2Node.candidates }
    ) { node throws(DMABufError) in try V4L2Importer(node: node ?? "") }

    /// Throws `unavailable` if the node cannot be opened, `unsupported` if it moves no frames.
    public init(node name: String) throws(DMABufError) {
        let node = try V4L2Node.opening(name)
        self.name = "v4l2:\(node.name)"
        guard let type = node.onlyType else {
            throw DMABufError(.unsupported, "\(self.name): \(node.capabilities.driver) moves no frames through buffers")
        }
        imports = VideoImports(node, type)
    }

    /// As the device is now: its format may have changed.
    public var requirements: Requirements {
        var requirements = Requirements(party: name, device: imports.node.path)
        if !imports.node.supports(.dmaBuf, imports.type) {
            requirements.origin = Requirements.Origin(
                exporters: [], reason: "\(imports.node.capabilities.driver) lacks V4L2_MEMORY_DMABUF")
        }
        requirements.leastSize = (try? imports.node.format(of: imports.type))?.sizes.max()
        if imports.needsContiguous == true { requirements.traits = .contiguous }
        return requirements
    }

    public func attach(_ buffer: DMABuffer, for access: Access) throws(DMABufError) -> Attachment {
        try imports.node.checkIsThere()
        try check(buffer)
        do throws(Errno) {
            return Attachment(
                buffer: buffer, access: access, importer: name, place: .video(try imports.attach(buffer)))
        } catch {
            throw explain(error, buffer)
        }
    }

    private func explain(_ error: Errno, _ buffer: DMABuffer) -> DMABufError {
        switch error {
        case .resourceBusy:
            DMABufError(
                .refused, "\(name) is in use", cause: error, remedy: "stop the program that streams with it first")
        case .badAddress: .scattered(name, buffer.exporterName, cause: error)
        default: .device("\(name): import dma-buf \(buffer.inode) of \(buffer.exporterName)", error, imports.node)
        }
    }
}
