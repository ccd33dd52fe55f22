// SPDX-License-Identifier: Apache-2.0

/// An image in memory: one format, one modifier, up to four planes on one dma-buf or on several.
public struct ImageLayout: Equatable, Sendable {
    public var width: UInt32
    public var height: UInt32
    public var fourcc: UInt32
    public var modifier: Modifier
    public var planes: [Plane]

    public struct Plane: Equatable, Sendable {
        /// Which dma-buf of the description it lies in.
        public var memory: Int
        /// Bytes from the start of that dma-buf.
        public var offset: UInt64
        /// Bytes from one line to the next.
        public var stride: UInt32

        public init(memory: Int, offset: UInt64, stride: UInt32) {
            self.memory = memory
            self.offset = offset
            self.stride = stride
        }
    }

    public static let planeLimit = 4

    public init(width: UInt32, height: UInt32, fourcc: UInt32, modifier: Modifier, planes: [Plane]) {
        self.width = width
        self.height = height
        self.fourcc = fourcc
        self.modifier = modifier
        self.planes = planes
    }

    public var format: PixelFormat? { PixelFormat(fourcc: fourcc) }

    /// Throws unless every plane lies inside its dma-buf; no sum may overflow. `sizes` in bytes.
    func check(sizes: [UInt64]) throws(DescriptionError) {
        guard width > 0, height > 0 else { throw .emptyImage }
        guard let format else { throw .unknownFormat(fourcc: fourcc) }
        // A compressing modifier adds planes of its own, so only a linear image must match its format exactly.
        let exact = modifier == .linear
        guard planes.count <= Self.planeLimit, exact ? planes.count == format.planes.count : planes.count >= 1 else {
            throw .planeCount(format: format.text, needs: format.planes.count, has: planes.count)
        }
        for (index, plane) in planes.enumerated() {
            guard sizes.indices.contains(plane.memory) else {
                throw .planeOutsideMemory(plane: index, memory: plane.memory, count: sizes.count)
            }
            let size = sizes[plane.memory]
            if exact {
                try check(plane, index, shape: format.planes[index], size: size)
            } else {
                // The arrangement is the driver's secret; what can be said is that it starts inside and has lines.
                guard plane.stride > 0 else { throw .strideTooSmall(plane: index, stride: 0, needs: 1) }
                guard plane.offset < size else {
                    throw .planeStartsPastEnd(plane: index, offset: plane.offset, size: size)
                }
            }
        }
    }

    private func check(
        _ plane: Plane, _ index: Int, shape: PixelFormat.PlaneShape, size: UInt64
    ) throws(DescriptionError) {
        let line = shape.lineByteCount(width: width)
        guard UInt64(plane.stride) >= line else {
            throw .strideTooSmall(plane: index, stride: plane.stride, needs: line)
        }
        // The last line needs no padding behind it. 32 bits times 32 bits fits 64; the sums may not.
        let lines = UInt64(shape.lineCount(height: height))
        let (end, overflow) = plane.offset.addingReportingOverflow(UInt64(plane.stride) * (lines - 1))
        let (last, overflowToo) = end.addingReportingOverflow(line)
        guard !overflow, !overflowToo else { throw .planePastEnd(plane: index, ends: nil, size: size) }
        guard last <= size else { throw .planePastEnd(plane: index, ends: last, size: size) }
    }
}

extension PixelFormat.PlaneShape {
    /// Bytes that one line of an image this wide takes, without padding.
    public func lineByteCount(width: UInt32) -> UInt64 {
        (UInt64(width) + UInt64(horizontal) - 1) / UInt64(horizontal) * UInt64(bytesPerSample)
    }

    public func lineCount(height: UInt32) -> UInt32 {
        UInt32((UInt64(height) + UInt64(vertical) - 1) / UInt64(vertical))
    }
}
