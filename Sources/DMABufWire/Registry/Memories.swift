// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// What a buffer of the registry's consists of. The memories' descriptors come in the same order.
public struct Memories: Equatable, Sendable {
    public var kind: MemoryKind
    public var description: BufferDescription

    public init(_ kind: MemoryKind, _ description: BufferDescription) {
        self.kind = kind
        self.description = description
    }
}

extension Memories: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        var fields = try reader.readFields(24)
        let isImage = try fields.readIsImage()
        let kind: MemoryKind = try fields.readCase(field: "backing")
        let sizeCount = try fields.readCount(UInt8.self, 1...BufferDescription.sizeLimit, field: "memory count")
        let planeCount = try fields.readCount(UInt8.self, 0...ImageLayout.planeLimit, field: "plane count")
        let (width, height, fourcc): (UInt32, UInt32, UInt32) = (fields.read(), fields.read(), fields.read())
        let modifier = Modifier(rawValue: fields.read())
        let image = try ImageLayout(isImage: isImage, width: width, height: height, fourcc: fourcc, modifier: modifier)
        let sizes = try reader.readList(sizeCount) { (reader) throws(WireError) in try reader.read(UInt64.self) }
        self.init(kind, try BufferDescription(sizes, image, try reader.readList(planeCount)))
    }

    func write(to writer: inout ByteWriter) {
        description.checkForm()
        let image = description.imageFields
        writer.write(image.content)
        writer.write(kind.rawValue)
        writer.write(UInt8(description.sizes.count))
        writer.write(image.planeCount)
        writer.write(image.width)
        writer.write(image.height)
        writer.write(image.fourcc)
        writer.write(image.modifier)
        for size in description.sizes { writer.write(size) }
        description.writePlanes(to: &writer)
    }
}

/// A buffer that its owner brings, with the descriptors of its memories.
public struct NewBuffer: Equatable, Sendable {
    public var memories: Memories
    public var kept: Kept
    public var name: String?

    public init(_ memories: Memories, kept: Kept = .lastAttachment, name: String? = nil) {
        self.memories = memories
        self.kept = kept
        self.name = name
    }
}

extension NewBuffer: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let kept: Kept = try reader.readCase(field: "kept")
        let nameLength = Int(try reader.read(UInt8.self))
        try reader.readReserved(6)
        let memories: Memories = try reader.read()
        self.init(memories, kept: kept, name: nameLength == 0 ? nil : try reader.readName(nameLength))
    }

    func write(to writer: inout ByteWriter) {
        precondition(name != "", "an empty name")
        writer.write(kept.rawValue)
        writer.write(nameLength: name ?? "")
        writer.writeReserved(6)
        writer.write(memories)
        writer.write(text: name ?? "")
    }
}

/// The memory that a mover has filled, to take the place of `generation`; with its descriptors, and then its fence's.
public struct NewGeneration: Equatable, Sendable {
    public var buffer: BufferID
    public var generation: Generation
    public var memories: Memories
    /// The copy's, for memory that is still being filled.
    public var fence: FenceTerms?

    public init(of buffer: BufferID, from generation: Generation, _ memories: Memories, fence: FenceTerms? = nil) {
        self.buffer = buffer
        self.generation = generation
        self.memories = memories
        self.fence = fence
    }
}

extension NewGeneration: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        buffer = try reader.read()
        generation = try reader.read()
        let fenceCount = try reader.readFenceCount()
        fence = fenceCount == 0 ? nil : try reader.read()
        memories = try reader.read()
    }

    func write(to writer: inout ByteWriter) {
        writer.write(buffer)
        writer.write(generation)
        writer.write(fenceCount: fence)
        if let fence { writer.write(fence) }
        writer.write(memories)
    }
}

/// The answer to an attach or a map, with the descriptors of the present generation.
public struct Grant: Equatable, Sendable {
    public var isMapped: Bool
    public var buffer: BufferID
    public var attachment: AttachmentID
    public var generation: Generation
    /// What an access has to wait for.
    public var fences: FenceSummary
    public var memories: Memories
    /// nil: its accesses begin and end by message.
    public var word: GrantedWord?

    public init(
        isMapped: Bool, buffer: BufferID, attachment: AttachmentID, generation: Generation, fences: FenceSummary,
        memories: Memories, word: GrantedWord? = nil
    ) {
        self.isMapped = isMapped
        self.buffer = buffer
        self.attachment = attachment
        self.generation = generation
        self.fences = fences
        self.memories = memories
        self.word = word
    }

    var opcode: Opcode {
        if word == nil { return isMapped ? .mapped : .attached }
        return isMapped ? .mappedWithWord : .attachedWithWord
    }

    init(isMapped: Bool, hasWord: Bool, from reader: inout ByteReader) throws(WireError) {
        self.isMapped = isMapped
        buffer = try reader.read()
        attachment = try reader.read()
        generation = try reader.read()
        fences = try reader.read()
        word = hasWord ? try reader.read() : nil
        memories = try reader.read()
    }

    func write(to writer: inout ByteWriter) {
        writer.write(buffer)
        writer.write(attachment)
        writer.write(generation)
        writer.write(fences)
        if let word { writer.write(word) }
        writer.write(memories)
    }
}

/// The answer to an inspection.
public struct InspectedBuffer: Equatable, Sendable {
    public var inspection: Inspection
    public var memories: Memories

    public init(_ inspection: Inspection, _ memories: Memories) {
        self.inspection = inspection
        self.memories = memories
    }
}

extension InspectedBuffer: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        inspection = try reader.read()
        memories = try reader.read()
    }

    func write(to writer: inout ByteWriter) {
        writer.write(inspection)
        writer.write(memories)
    }
}
