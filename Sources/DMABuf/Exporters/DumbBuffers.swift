// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage

/// What the vgem and the dumb exporter share: a dumb buffer is made, exported, and its GEM handle closed, so that the
/// descriptor is the only reference (fdinfo's count is one).
extension DRMNode {
    /// What the ioctl can make at most, in bytes: 32 bits, rounded up to pages without overflowing.
    static let dumbSizeLimit: UInt64 = (1 << 32) - 4096

    func exportDumbBuffer(_ request: BufferRequest, exporter: String) throws(DMABufError) -> DescribedBuffer {
        let (words, lines) = try request.dumbShape(exporter: exporter)
        let dumb = try attempting("\(exporter): make a dumb buffer of \(words)x\(lines)") { () throws(Errno) in
            try createDumbBuffer(width: words, height: lines, bitsPerPixel: 32)
        }
        if !isZeroedByKernel { try clear(dumb, exporter: exporter) }
        let buffer = try attempting("\(exporter): export a dumb buffer") { () throws(Errno) in try dumb.gem.export() }
        let description = BufferDescription(
            sizes: [dumb.byteCount], content: request.dumbContent(stride: dumb.stride))
        return try DescribedBuffer(description, memory: [DMABuffer(adopting: buffer)])
    }

    /// vgem's pages are those of a memory file. A driver with memory of its own may hand out what somebody else had.
    private var isZeroedByKernel: Bool { driver == VGEM.driver }

    private func clear(_ dumb: borrowing DumbBuffer, exporter: String) throws(DMABufError) {
        let byteCount = Int(dumb.byteCount)
        do throws(Errno) {
            var mapping = try dumb.gem.map(byteCount: byteCount, writable: true)
            mapping.withMutableBytes { $0.clear() }
        } catch {
            throw .system("\(exporter): clear a dumb buffer", error)
        }
    }
}

extension BufferRequest {
    /// Lines of 32-bit words, the one shape that every driver makes: plain bytes become lines of a page each, and the
    /// planes of an image lie below one another, as wide as the widest.
    func dumbShape(exporter: String) throws(DMABufError) -> (words: UInt32, lines: UInt32) {
        switch self {
        case .bytes(let byteCount):
            guard let lines = UInt32(exactly: (byteCount + 4095) / 4096) else {
                throw DMABufError(.unsupported, "\(exporter): \(byteCount) bytes are more than a dumb buffer can have")
            }
            return (1024, lines)
        case .image(let width, let height, let format):
            // Bounded by `isPossible`: sides fit 16 bits, so none of this overflows.
            let line = format.planes.map { $0.lineByteCount(width: width) }.max() ?? 0
            return (UInt32((line + 3) / 4), format.planes.reduce(0) { $0 + $1.lineCount(height: height) })
        }
    }

    func dumbContent(stride: UInt32) -> BufferDescription.Content {
        guard case .image(let width, let height, let format) = self else { return .bytes }
        var line: UInt64 = 0
        let planes = format.planes.map { shape in
            defer { line += UInt64(shape.lineCount(height: height)) }
            return ImageLayout.Plane(memory: 0, offset: line * UInt64(stride), stride: stride)
        }
        return .image(
            ImageLayout(width: width, height: height, fourcc: format.fourcc, modifier: .linear, planes: planes))
    }
}
