// SPDX-License-Identifier: Apache-2.0

/// What lies in a buffer and how: plain bytes, or an image. It is a claim until it is checked against the real size of
/// every dma-buf: ``check(realSizes:)``.
public struct BufferDescription: Equatable, Sendable {
    /// The size in bytes of each dma-buf that the buffer consists of; one for most, up to four for an image.
    public var sizes: [UInt64]
    public var content: Content

    public enum Content: Equatable, Sendable {
        case bytes
        /// Apart from the rest, which is handed around with every buffer and stays small so.
        indirect case image(ImageLayout)
    }

    public static let sizeLimit = 4

    public init(sizes: [UInt64], content: Content) {
        self.sizes = sizes
        self.content = content
    }

    public static func bytes(_ byteCount: UInt64) -> BufferDescription {
        BufferDescription(sizes: [byteCount], content: .bytes)
    }

    public var byteCount: UInt64 {
        sizes.reduce(0) { sum, size in
            let (total, overflow) = sum.addingReportingOverflow(size)
            return overflow ? .max : total
        }
    }

    public var image: ImageLayout? {
        if case .image(let layout) = content { layout } else { nil }
    }

    /// Throws unless every byte that the description speaks of lies inside memory that is really there.
    ///
    /// `realSizes` are what the kernel says of each descriptor (`lseek(SEEK_END)`), never what the sender says.
    public func check(realSizes: [UInt64]) throws(DescriptionError) {
        try check(memoryCount: realSizes.count) { realSizes[$0] }
    }

    /// As above, of whoever need not make a list for it.
    @inlinable
    public func check(memoryCount: Int, realSize: (Int) -> UInt64) throws(DescriptionError) {
        guard sizes.count == memoryCount else { throw .memoryCount(described: sizes.count, received: memoryCount) }
        try checkClaim()
        for (index, claimed) in sizes.enumerated() where claimed > realSize(index) {
            throw .largerThanMemory(index: index, described: claimed, real: realSize(index))
        }
    }

    /// Throws unless the description agrees with itself; sizes are taken at their word.
    public func checkClaim() throws(DescriptionError) {
        guard !sizes.isEmpty, sizes.count <= Self.sizeLimit else {
            throw .memoryCount(described: sizes.count, received: sizes.count)
        }
        for (index, size) in sizes.enumerated() where size == 0 || size > UInt64(Int64.max) {
            throw .impossibleSize(index: index, size: size)
        }
        switch content {
        case .bytes:
            if sizes.count != 1 { throw .memoryCount(described: 1, received: sizes.count) }
        case .image(let layout): try layout.check(sizes: sizes)
        }
    }
}

/// Why a description does not fit.
public enum DescriptionError: Error, Equatable, Sendable {
    case memoryCount(described: Int, received: Int)
    case impossibleSize(index: Int, size: UInt64)
    case largerThanMemory(index: Int, described: UInt64, real: UInt64)
    case emptyImage
    case unknownFormat(fourcc: UInt32)
    case planeCount(format: String, needs: Int, has: Int)
    case planeOutsideMemory(plane: Int, memory: Int, count: Int)
    case strideTooSmall(plane: Int, stride: UInt32, needs: UInt64)
    case planePastEnd(plane: Int, ends: UInt64?, size: UInt64)
    case planeStartsPastEnd(plane: Int, offset: UInt64, size: UInt64)
}

extension DescriptionError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .memoryCount(let described, let received):
            "the description speaks of \(described) dma-buf(s) and \(received) came with it"
        case .impossibleSize(let index, let size):
            "dma-buf \(index) is described as \(size) bytes, which no buffer can have"
        case .largerThanMemory(let index, let described, let real):
            "dma-buf \(index) is described as \(described) bytes and has \(real)"
        case .emptyImage:
            "the image has no pixels"
        case .unknownFormat(let fourcc):
            "pixel format \"\(PixelFormat.text(of: fourcc))\" (0x\(String(fourcc, radix: 16))) is not known here"
        case .planeCount(let format, let needs, let has):
            "format \(format) has \(needs) plane(s) and \(has) are described"
        case .planeOutsideMemory(let plane, let memory, let count):
            "plane \(plane) lies in dma-buf \(memory), and there are \(count)"
        case .strideTooSmall(let plane, let stride, let needs):
            "plane \(plane) has a stride of \(stride) bytes and a line needs \(needs)"
        case .planePastEnd(let plane, let ends?, let size):
            "plane \(plane) ends at byte \(ends) and its dma-buf at \(size)"
        case .planeStartsPastEnd(let plane, let offset, let size):
            "plane \(plane) starts at byte \(offset) and its dma-buf ends at \(size)"
        case .planePastEnd(let plane, nil, let size):
            "the end of plane \(plane) overflows 64 bits; its dma-buf has \(size) bytes"
        }
    }
}
