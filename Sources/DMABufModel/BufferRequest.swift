// SPDX-License-Identifier: Apache-2.0

/// What someone wants an exporter to make. The exporter answers with a ``BufferDescription`` that says what it made.
public enum BufferRequest: Equatable, Sendable {
    case bytes(UInt64)
    case image(width: UInt32, height: UInt32, format: PixelFormat)

    /// The largest side of an image, generous for any display or camera.
    public static let sideLimit: UInt32 = 32768
    /// Lines start at multiples of this where the exporter is free to choose: what the pickiest common GPUs ask for.
    public static let strideAlignment: UInt64 = 256

    /// Whether it can be made at all.
    public var isPossible: Bool {
        switch self {
        case .bytes(let byteCount): byteCount > 0 && byteCount <= UInt64(Int64.max) - 65536
        case .image(let width, let height, _):
            width > 0 && height > 0 && width <= Self.sideLimit && height <= Self.sideLimit
        }
    }

    /// The description of a linear buffer for this request, on one dma-buf, in whole pages of `pageSize` bytes. Traps
    /// unless ``isPossible``.
    public func linearDescription(pageSize: UInt64 = 4096) -> BufferDescription {
        precondition(isPossible, "no buffer can be made for \(self)")
        switch self {
        case .bytes(let byteCount):
            return .bytes(roundUp(byteCount, to: pageSize))
        case .image(let width, let height, let format):
            var end: UInt64 = 0
            let planes = format.planes.map { shape in
                let stride = roundUp(shape.lineByteCount(width: width), to: Self.strideAlignment)
                let plane = ImageLayout.Plane(memory: 0, offset: end, stride: UInt32(stride))
                end += stride * UInt64(shape.lineCount(height: height))
                return plane
            }
            let layout = ImageLayout(
                width: width, height: height, fourcc: format.fourcc, modifier: .linear, planes: planes)
            return BufferDescription(sizes: [roundUp(end, to: pageSize)], content: .image(layout))
        }
    }
}

extension BufferRequest: CustomStringConvertible {
    public var description: String {
        switch self {
        case .bytes(let byteCount): "\(byteCount) bytes"
        case .image(let width, let height, let format): "\(width)x\(height) pixels of \(format.text)"
        }
    }
}

/// `value` up to the next multiple of `unit`; the caller has bounded `value`.
package func roundUp(_ value: UInt64, to unit: UInt64) -> UInt64 {
    (value + unit - 1) / unit * unit
}
