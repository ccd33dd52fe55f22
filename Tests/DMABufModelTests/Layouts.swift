// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// Short ways to write the descriptions of the tests.
extension BufferDescription {
    /// An image of one plane on one dma-buf.
    static func image(
        _ format: String, _ width: UInt32, _ height: UInt32, stride: UInt32, offset: UInt64 = 0, size: UInt64,
        modifier: Modifier = .linear
    ) -> BufferDescription {
        image(format, width, height, planes: [(0, offset, stride)], sizes: [size], modifier: modifier)
    }

    /// Planes as (memory, offset, stride).
    static func image(
        _ format: String, _ width: UInt32, _ height: UInt32, planes: [(Int, UInt64, UInt32)], sizes: [UInt64],
        modifier: Modifier = .linear
    ) -> BufferDescription {
        let layout = ImageLayout(
            width: width, height: height, fourcc: fourcc(format), modifier: modifier,
            planes: planes.map { ImageLayout.Plane(memory: $0.0, offset: $0.1, stride: $0.2) })
        return BufferDescription(sizes: sizes, content: .image(layout))
    }

    /// What is wrong with it, its sizes taken at their word; nil if nothing is.
    var problem: DescriptionError? { problem(realSizes: sizes) }

    func problem(realSizes: [UInt64]) -> DescriptionError? {
        do throws(DescriptionError) {
            try check(realSizes: realSizes)
            return nil
        } catch {
            return error
        }
    }
}

/// The code of any four characters, known or not.
func fourcc(_ text: String) -> UInt32 {
    text.utf8.reversed().reduce(0) { $0 << 8 | UInt32($1) }
}
