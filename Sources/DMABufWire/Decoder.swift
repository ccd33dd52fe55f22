// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Envelope {
    /// Reads one datagram, strictly: every byte has a meaning, and decoding then encoding gives the same bytes.
    ///
    /// `descriptorCount` is how many descriptors really came with it.
    public init(decoding bytes: Span<UInt8>, descriptorCount: Int) throws(WireError) {
        guard bytes.count <= Wire.messageLimit else { throw .tooLong(limit: Wire.messageLimit, has: bytes.count) }
        var reader = ByteReader(bytes)
        let opcode = try reader.read(UInt16.self)
        let statedDescriptors = Int(try reader.read(UInt16.self))
        let statedSize = Int(try reader.read(UInt32.self))
        serial = try reader.read()
        guard statedSize == bytes.count else { throw .sizeMismatch(stated: statedSize, has: bytes.count) }
        switch Message.Opcode(rawValue: opcode) {
        case .hello: message = .hello(try reader.readHello())
        case .farewell:
            let reason = try reader.readCase(Farewell.Reason.self, field: "reason")
            message = .farewell(Farewell(reason, try reader.readReasonText()))
        case .offer: message = .offer(try reader.readOffer())
        case .accepted: message = .accepted
        case .refused:
            let reason = try reader.readCase(OfferRefusal.Reason.self, field: "reason")
            message = .refused(OfferRefusal(reason, try reader.readReasonText()))
        case nil: throw .unknownOpcode(opcode)
        }
        try reader.finish()
        guard statedDescriptors == message.descriptorCount else {
            throw .descriptorCount(stated: statedDescriptors, expected: message.descriptorCount)
        }
        guard statedDescriptors == descriptorCount else {
            throw .descriptorsMissing(stated: statedDescriptors, received: descriptorCount)
        }
    }
}

extension ByteReader {
    fileprivate mutating func readHello() throws(WireError) -> Hello {
        let magic = try read(UInt32.self)
        guard magic == Wire.magic else { throw .magic(magic) }
        // Before anything behind it, which another version may have laid out otherwise.
        let version = try read(UInt16.self)
        guard version == Wire.version else { throw .version(version) }
        try readZero(UInt16.self, field: "reserved")
        return Hello(features: .init(rawValue: try read()))
    }

    fileprivate mutating func readReasonText() throws(WireError) -> String {
        let count = Int(try read(UInt16.self))
        try readZero(UInt16.self, field: "reserved")
        guard count <= Wire.reasonLimit else { throw .invalidValue(field: "text length", value: UInt64(count)) }
        return try readText(count, field: "text")
    }

    fileprivate mutating func readOffer() throws(WireError) -> Offer {
        let content = try read(UInt8.self)
        guard content == 1 || content == 2 else { throw .invalidValue(field: "content", value: UInt64(content)) }
        let backing = try readCase(Offer.Backing.self, field: "backing")
        let access = Access(rawValue: try read())
        guard access.isValid else { throw .invalidValue(field: "access", value: UInt64(access.rawValue)) }
        let flags = try read(UInt8.self)
        guard flags <= 1 else { throw .reservedBits(field: "flags") }
        let sizeCount = try readCount(1...BufferDescription.sizeLimit, field: "memory count")
        let planeCount = try readCount(0...ImageLayout.planeLimit, field: "plane count")
        let fenceCount = try readCount(0...Wire.fenceLimit, field: "fence count")
        let nameLength = try readCount(0...Wire.nameLimit, field: "name length")
        let image = try readImage(isImage: content == 2)
        let checksum = try read(UInt64.self)
        guard flags == 1 || checksum == 0 else { throw .reservedBits(field: "checksum") }
        let sizes = try readList(sizeCount) { (reader) throws(WireError) in try reader.read(UInt64.self) }
        let planes = try readList(planeCount) { (reader) throws(WireError) in try reader.readPlane() }
        let fences = try readList(fenceCount) { (reader) throws(WireError) in try reader.readFence() }
        let description = try Self.describe(sizes, image, planes)
        return Offer(
            description: description, backing: backing, access: access,
            name: try readText(nameLength, field: "name"),
            checksum: flags == 1 ? Checksum(value: checksum) : nil, fences: fences)
    }

    private mutating func readCount(_ range: ClosedRange<Int>, field: String) throws(WireError) -> Int {
        let count = Int(try read(UInt8.self))
        guard range.contains(count) else { throw .invalidValue(field: field, value: UInt64(count)) }
        return count
    }

    /// An image without its planes; nil, with every field zero, for plain bytes.
    private mutating func readImage(isImage: Bool) throws(WireError) -> ImageLayout? {
        let width = try read(UInt32.self)
        let height = try read(UInt32.self)
        let fourcc = try read(UInt32.self)
        try readZero(UInt32.self, field: "reserved")
        let modifier = Modifier(rawValue: try read())
        if isImage { return ImageLayout(width: width, height: height, fourcc: fourcc, modifier: modifier, planes: []) }
        guard width == 0, height == 0, fourcc == 0, modifier.rawValue == 0 else {
            throw .reservedBits(field: "image fields of plain bytes")
        }
        return nil
    }

    private mutating func readPlane() throws(WireError) -> ImageLayout.Plane {
        let memory = Int(try read(UInt32.self))
        let stride = try read(UInt32.self)
        return ImageLayout.Plane(memory: memory, offset: try read(), stride: stride)
    }

    private mutating func readFence() throws(WireError) -> OfferedFence {
        let kind = try readCase(OfferedFence.Kind.self, field: "fence kind")
        let usage = try readCase(Usage.self, field: "usage")
        try readZero(UInt16.self, field: "reserved")
        try readZero(UInt32.self, field: "reserved")
        return OfferedFence(kind: kind, usage: usage, within: try read())
    }

    private mutating func readList<Element>(
        _ count: Int, _ read: (inout ByteReader) throws(WireError) -> Element
    ) throws(WireError) -> [Element] {
        var elements: [Element] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try read(&self)) }
        return elements
    }

    /// Whether the description holds water is a refusal, not a protocol error; here only its form is checked.
    private static func describe(
        _ sizes: [UInt64], _ image: ImageLayout?, _ planes: [ImageLayout.Plane]
    ) throws(WireError) -> BufferDescription {
        guard var layout = image else {
            guard planes.isEmpty, sizes.count == 1 else {
                throw .description("plain bytes have one dma-buf and no planes")
            }
            return BufferDescription(sizes: sizes, content: .bytes)
        }
        layout.planes = planes
        return BufferDescription(sizes: sizes, content: .image(layout))
    }
}
