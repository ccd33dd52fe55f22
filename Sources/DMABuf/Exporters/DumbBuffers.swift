// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage

/// What the vgem and the dumb exporter share: a dumb buffer is made, exported, and its GEM handle closed, so that the
/// descriptor is the only reference (fdinfo's count is one).
extension DRMNode {
    func exportDumbBuffer(_ request: BufferRequest, exporter: String) throws(DMABufError) -> DescribedBuffer {
        let shape = try request.dumbShape(exporter: exporter)
        let dumb = try attempting("\(exporter): make a dumb buffer of \(shape.width)x\(shape.height)") {
            () throws(Errno) in
            try createDumbBuffer(width: shape.width, height: shape.height, bitsPerPixel: shape.bitsPerPixel)
        }
        let buffer = try attempting("\(exporter): export a dumb buffer") { () throws(Errno) in try dumb.gem.export() }
        let description = BufferDescription(
            sizes: [dumb.byteCount], content: request.content(stride: dumb.stride))
        return try DescribedBuffer(description, memory: [DMABuffer(adopting: buffer)])
    }
}

extension BufferRequest {
    struct DumbShape {
        let width: UInt32
        let height: UInt32
        let bitsPerPixel: UInt32
    }

    /// A dumb buffer is always a picture; plain bytes become lines of a page each.
    func dumbShape(exporter: String) throws(DMABufError) -> DumbShape {
        switch self {
        case .bytes(let byteCount):
            let lines = (byteCount + 4095) / 4096
            guard let height = UInt32(exactly: lines) else {
                throw DMABufError(.unsupported, "\(exporter): \(byteCount) bytes are more than a dumb buffer can have")
            }
            return DumbShape(width: 1024, height: height, bitsPerPixel: 32)
        case .image(let width, let height, let format):
            guard format.planes.count == 1, format.planes[0].horizontal == 1 else {
                throw DMABufError(
                    .unsupported, "\(exporter): dumb buffers have one plane, and \(format.text) needs more",
                    remedy: "use udmabuf or a heap for planar formats")
            }
            return DumbShape(width: width, height: height, bitsPerPixel: format.planes[0].bytesPerSample * 8)
        }
    }

    func content(stride: UInt32) -> BufferDescription.Content {
        guard case .image(let width, let height, let format) = self else { return .bytes }
        return .image(
            ImageLayout(
                width: width, height: height, fourcc: format.fourcc, modifier: .linear,
                planes: [.init(memory: 0, offset: 0, stride: stride)]))
    }
}
