// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Exporter {
    /// Makes memory that another buffer's content fits into as it is: for each of its memories one of exactly the same
    /// size, described in the same way. This is what a buffer can move to.
    ///
    /// Throws `unsupported` where the exporter makes other sizes, and for an image whose modifier is not linear: how that
    /// lies in memory is its device's own.
    public func export(like buffer: DescribedBuffer) throws(DMABufError) -> DescribedBuffer {
        if let image = buffer.description.image, image.modifier != .linear {
            throw DMABufError(
                .unsupported,
                "\(name): an image with modifier 0x\(String(image.modifier.rawValue, radix: 16)) "
                    + "is laid out as only its own device knows")
        }
        // A display driver may want the shape of the image; whether it then lies as it did shows afterwards.
        if let image = buffer.description.image, let format = image.format {
            let shaped = try? export(.image(width: image.width, height: image.height, format: format))
            if let shaped, shaped.description == buffer.description, shaped.sizes == buffer.sizes { return shaped }
        }
        var memory: [DMABuffer] = []
        for size in buffer.sizes {
            let made = try export(.bytes(size)).memory[0]
            guard made.byteCount == size else {
                throw DMABufError(
                    .unsupported, "\(name): makes \(made.byteCount) bytes where \(size) are needed",
                    remedy: "choose another exporter")
            }
            memory.append(made)
        }
        return try DescribedBuffer(buffer.description, memory: memory)
    }
}

extension DescribedBuffer {
    /// As the kernel says.
    fileprivate var sizes: [UInt64] { memory.map(\.byteCount) }
}
