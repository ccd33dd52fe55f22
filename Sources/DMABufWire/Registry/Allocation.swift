// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// A buffer that the registry is to make, for a client that may not open the device itself.
public struct Allocation: Equatable, Sendable {
    public var request: BufferRequest
    /// Which exporter, in the grammar of the tool; nil for the best there is.
    public var exporter: String?
    public var kept: Kept
    public var name: String?

    public init(_ request: BufferRequest, exporter: String? = nil, kept: Kept = .lastAttachment, name: String? = nil) {
        self.request = request
        self.exporter = exporter
        self.kept = kept
        self.name = name
    }
}

extension Allocation: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        kept = try reader.readCase(field: "kept")
        let nameLength = Int(try reader.read(UInt8.self))
        let exporterLength = try reader.readCount(UInt8.self, 0...Wire.nameLimit, field: "exporter length")
        try reader.readReserved(5)
        request = try reader.read()
        exporter = exporterLength == 0 ? nil : try reader.readText(exporterLength, field: "exporter")
        name = nameLength == 0 ? nil : try reader.readText(nameLength, field: "name")
    }

    func write(to writer: inout ByteWriter) {
        precondition(name != "", "an empty name")
        writer.write(kept.rawValue)
        writer.write(UInt8(name?.utf8.count ?? 0))
        writer.write(exporterLength: exporter)
        writer.writeReserved(5)
        writer.write(request)
        writer.write(text: exporter ?? "")
        writer.write(text: name ?? "")
    }
}

/// What the registry's own worker is to make, and from what to fill it. Nobody else sends or gets this.
public struct WorkOrder: Equatable, Sendable {
    public var request: BufferRequest
    public var exporter: String?
    /// Its content is copied; with its descriptors.
    public var source: Memories?

    public init(_ request: BufferRequest, exporter: String?, source: Memories? = nil) {
        self.request = request
        self.exporter = exporter
        self.source = source
    }
}

extension WorkOrder: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let exporterLength = try reader.readCount(UInt8.self, 0...Wire.nameLimit, field: "exporter length")
        let sourceCount = try reader.readCount(UInt8.self, 0...1, field: "source count")
        try reader.readReserved(6)
        request = try reader.read()
        source = sourceCount == 0 ? nil : try reader.read()
        exporter = exporterLength == 0 ? nil : try reader.readText(exporterLength, field: "exporter")
    }

    func write(to writer: inout ByteWriter) {
        writer.write(exporterLength: exporter)
        writer.write(UInt8(source == nil ? 0 : 1))
        writer.writeReserved(6)
        writer.write(request)
        if let source { writer.write(source) }
        writer.write(text: exporter ?? "")
    }
}

extension BufferRequest: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let byteCount = try reader.read(UInt64.self)
        let (width, height, fourcc): (UInt32, UInt32, UInt32) = (
            try reader.read(), try reader.read(), try reader.read()
        )
        try reader.readReserved(4)
        if fourcc == 0 {
            guard width == 0, height == 0 else { throw .reservedBits(field: "image fields of plain bytes") }
            self = .bytes(byteCount)
        } else {
            guard byteCount == 0 else { throw .reservedBits(field: "bytes of an image") }
            guard let format = PixelFormat(fourcc: fourcc) else {
                throw .invalidValue(field: "fourcc", value: UInt64(fourcc))
            }
            self = .image(width: width, height: height, format: format)
        }
    }

    func write(to writer: inout ByteWriter) {
        switch self {
        case .bytes(let byteCount):
            writer.write(byteCount)
            writer.writeReserved(16)
        case .image(let width, let height, let format):
            writer.write(UInt64(0))
            writer.write(width)
            writer.write(height)
            writer.write(format.fourcc)
            writer.writeReserved(4)
        }
    }
}

extension ByteWriter {
    fileprivate mutating func write(exporterLength exporter: String?) {
        precondition(exporter != "" && (exporter?.utf8.count ?? 0) <= Wire.nameLimit, "no exporter's name")
        write(UInt8(exporter?.utf8.count ?? 0))
    }
}
