// SPDX-License-Identifier: Apache-2.0

import DMABufModel

// What a buffer consists of, in an offer and in the registry's messages.

extension ImageLayout.Plane: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let memory = Int(try reader.read(UInt32.self))
        let stride = try reader.read(UInt32.self)
        self.init(memory: memory, offset: try reader.read(), stride: stride)
    }

    func write(to writer: inout ByteWriter) {
        writer.write(UInt32(memory))
        writer.write(stride)
        writer.write(offset)
    }
}

extension ImageLayout {
    /// An image without its planes; nil, with every field zero, for plain bytes.
    @inline(__always)
    init?(isImage: Bool, width: UInt32, height: UInt32, fourcc: UInt32, modifier: Modifier) throws(WireError) {
        guard isImage else {
            guard width == 0, height == 0, fourcc == 0, modifier.rawValue == 0 else {
                throw .reservedBits(field: "image fields of plain bytes")
            }
            return nil
        }
        self.init(width: width, height: height, fourcc: fourcc, modifier: modifier, planes: [])
    }
}

extension BufferDescription {
    /// Whether the description holds water is a refusal, not a protocol error; here only its form is checked.
    init(_ sizes: [UInt64], _ image: ImageLayout?, _ planes: [ImageLayout.Plane]) throws(WireError) {
        guard var layout = image else {
            guard planes.isEmpty, sizes.count == 1 else {
                throw .description("plain bytes have one dma-buf and no planes")
            }
            self.init(sizes: sizes, content: .bytes)
            return
        }
        layout.planes = planes
        self.init(sizes: sizes, content: .image(layout))
    }

    /// Traps on what no decoder would take.
    func checkForm() {
        precondition((1...Self.sizeLimit).contains(sizes.count), "\(sizes.count) dma-bufs")
        switch content {
        case .bytes: precondition(sizes.count == 1, "plain bytes on \(sizes.count) dma-bufs")
        case .image(let image):
            precondition(image.planes.count <= ImageLayout.planeLimit, "more planes than an image has")
        }
    }
}

/// What is written of an image before its planes; zero for plain bytes.
struct ImageFields {
    var content: UInt8 = 1
    var planeCount: UInt8 = 0
    var width: UInt32 = 0
    var height: UInt32 = 0
    var fourcc: UInt32 = 0
    var modifier: UInt64 = 0
}

extension BufferDescription {
    var imageFields: ImageFields {
        guard case .image(let image) = content else { return ImageFields() }
        return ImageFields(
            content: 2, planeCount: UInt8(image.planes.count), width: image.width, height: image.height,
            fourcc: image.fourcc, modifier: image.modifier.rawValue)
    }

    func writePlanes(to writer: inout ByteWriter) {
        if case .image(let image) = content { writer.write(image.planes) }
    }
}

extension ByteReader {
    @inline(__always)
    mutating func readAccess() throws(WireError) -> Access {
        var fields = try readFields(1)
        return try fields.readAccess()
    }
}

extension FieldReader {
    @inline(__always)
    mutating func readIsImage() throws(WireError) -> Bool {
        let content = read(UInt8.self)
        guard content == 1 || content == 2 else { throw .invalidValue(field: "content", value: UInt64(content)) }
        return content == 2
    }

    @inline(__always)
    mutating func readAccess() throws(WireError) -> Access {
        let access = Access(rawValue: read())
        guard access.isValid else { throw .invalidValue(field: "access", value: UInt64(access.rawValue)) }
        return access
    }
}
