// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension Listing: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let (buffer, generation): (BufferID, Generation) = (try reader.read(), try reader.read())
        let byteCount = try reader.read(UInt64.self)
        let (owner, attachments): (UInt32, UInt32) = (try reader.read(), try reader.read())
        let kept: Kept = try reader.readCase(field: "kept")
        let state = BufferState(rawValue: try reader.read())
        guard BufferState.all.isSuperset(of: state) else { throw .reservedBits(field: "state") }
        let nameCount = try reader.readCount(UInt8.self, 0...Wire.registryNamesLimit, field: "name count")
        try reader.readReserved(5)
        let names = try reader.readList(nameCount) { (reader) throws(WireError) in try reader.readName() }
        self.init(
            buffer: buffer, generation: generation, byteCount: byteCount, owner: owner, attachments: attachments,
            kept: kept, state: state, names: names)
    }

    func write(to writer: inout ByteWriter) {
        precondition(names.count <= Wire.registryNamesLimit, "\(names.count) names")
        writer.write(buffer)
        writer.write(generation)
        writer.write(byteCount)
        writer.write(owner)
        writer.write(attachments)
        writer.write(kept.rawValue)
        writer.write(state.rawValue)
        writer.write(UInt8(names.count))
        writer.writeReserved(5)
        for name in names { writer.write(name: name) }
    }
}

extension Backing: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let (inode, byteCount): (UInt64, UInt64) = (try reader.read(), try reader.read())
        let descriptorCount = try reader.read(UInt32.self)
        let flags = try reader.read(UInt8.self)
        guard flags <= 1 else { throw .reservedBits(field: "flags") }
        try reader.readReserved(3)
        self.init(
            inode: inode, byteCount: byteCount, descriptorCount: descriptorCount, provesRelease: flags == 1)
    }

    func write(to writer: inout ByteWriter) {
        writer.write(inode)
        writer.write(byteCount)
        writer.write(descriptorCount)
        writer.write(UInt8(provesRelease ? 1 : 0))
        writer.writeReserved(3)
    }
}

extension Inspection: WireValue {
    /// The rules refuse a move while two are in quarantine; the third is that of a buffer that ends then.
    private static let quarantineLimit = 4

    init(from reader: inout ByteReader) throws(WireError) {
        let listing: Listing = try reader.read()
        let backing: Backing = try reader.read()
        let fences: FenceSummary = try reader.read()
        let holders = try reader.readHolders()
        self.init(
            listing: listing, backing: backing, holders: holders,
            quarantined: try reader.readCounted(Self.quarantineLimit, field: "quarantine count"), fences: fences)
    }

    func write(to writer: inout ByteWriter) {
        writer.write(listing)
        writer.write(backing)
        writer.write(fences)
        writer.write(holders: holders)
        writer.write(counted: quarantined, limit: Self.quarantineLimit)
    }
}
