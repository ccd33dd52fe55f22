// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Offer: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        // Made whole at the end: a value that is there in part is taken apart again wherever reading may fail.
        var fields = try reader.readFields(40)
        let isImage = try fields.readIsImage()
        let backing: MemoryKind = try fields.readCase(field: "backing")
        let access = try fields.readAccess()
        let flags = fields.read(UInt8.self)
        guard flags <= 1 else { throw .reservedBits(field: "flags") }
        let sizeCount = try fields.readCount(UInt8.self, 1...BufferDescription.sizeLimit, field: "memory count")
        let planeCount = try fields.readCount(UInt8.self, 0...ImageLayout.planeLimit, field: "plane count")
        let fenceCount = try fields.readCount(UInt8.self, 0...Wire.fenceLimit, field: "fence count")
        let nameLength = try fields.readCount(UInt8.self, 0...Wire.nameLimit, field: "name length")
        let (width, height, fourcc): (UInt32, UInt32, UInt32) = (fields.read(), fields.read(), fields.read())
        try fields.readReserved(4)
        let modifier = Modifier(rawValue: fields.read())
        let image = try ImageLayout(
            isImage: isImage, width: width, height: height, fourcc: fourcc, modifier: modifier)
        let checksum = fields.read(UInt64.self)
        guard flags == 1 || checksum == 0 else { throw .reservedBits(field: "checksum") }
        let sizes = try reader.readList(sizeCount) { (reader) throws(WireError) in try reader.read(UInt64.self) }
        let planes: [ImageLayout.Plane] = try reader.readList(planeCount)
        let fences: [OfferedFence] = try reader.readList(fenceCount)
        let description = try BufferDescription(sizes, image, planes)
        let name = try reader.readText(nameLength, field: "name")
        self.init(
            description: description, backing: backing, access: access, name: name,
            checksum: flags == 1 ? Checksum(value: checksum) : nil, fences: fences)
    }

    func write(to writer: inout ByteWriter) {
        description.checkForm()
        precondition(access.isValid, "an offer for no access")
        precondition(name.utf8.count <= Wire.nameLimit, "a name of \(name.utf8.count) bytes")
        precondition(fences.count <= Wire.fenceLimit, "\(fences.count) fences")
        let image = description.imageFields
        writer.write(
            image.content, backing.rawValue, access.rawValue, checksum == nil ? 0 : 1,
            UInt8(description.sizes.count), image.planeCount, UInt8(fences.count), UInt8(name.utf8.count))
        writer.write(image.width)
        writer.write(image.height)
        writer.write(image.fourcc)
        writer.writeReserved(4)
        writer.write(image.modifier)
        writer.write(checksum?.value ?? 0)
        for size in description.sizes { writer.write(size) }
        description.writePlanes(to: &writer)
        writer.write(fences)
        writer.write(text: name)
    }
}

extension OfferedFence: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        kind = try reader.readCase(field: "fence kind")
        usage = try reader.readCase(field: "usage")
        try reader.readReserved(6)
        within = try reader.read()
    }

    func write(to writer: inout ByteWriter) {
        writer.write(kind.rawValue)
        writer.write(usage.rawValue)
        writer.writeReserved(6)
        writer.write(within)
    }
}
