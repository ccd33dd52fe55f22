// SPDX-License-Identifier: Apache-2.0

import DMABufModel

// What is durable, as the journal has it. Optional numbers are behind a truth value: here nothing stands for none.

extension JournalStart: WireValue {
    static let version: UInt16 = 1

    init(from reader: inout ByteReader) throws(WireError) {
        let magic = try reader.read(UInt32.self)
        guard magic == Wire.magic else { throw .magic(magic) }
        let version = try reader.read(UInt16.self)
        guard version == Self.version else { throw .version(version) }
        self.init(salt: try reader.read(), firstNumber: try reader.read())
    }

    func write(to writer: inout ByteWriter) {
        writer.write(Wire.magic)
        writer.write(Self.version)
        writer.write(salt)
        writer.write(firstNumber)
    }
}

extension SecretHash: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        self.init(high: try reader.read(), low: try reader.read())
    }

    func write(to writer: inout ByteWriter) {
        writer.write(high)
        writer.write(low)
    }
}

extension DurableClient: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        self.init(id: try reader.read(), uid: try reader.read())
    }

    func write(to writer: inout ByteWriter) {
        writer.write(id)
        writer.write(uid)
    }
}

extension DurableBuffer: WireValue {
    private static let shareLimit = 64

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(
            id: try reader.read(), uid: try reader.read(), owner: try reader.readOptional(),
            kept: try reader.readCase(field: "kept"), generation: try reader.read(), backing: try reader.read(),
            isWithdrawn: try reader.readTruth(), isSuspect: try reader.readTruth())
        let nameCount = try reader.readCount(UInt8.self, 0...Wire.registryNamesLimit, field: "name count")
        names = try reader.readList(nameCount) { (reader) throws(WireError) in try reader.readName() }
        shares = try reader.readList(try reader.readCount(UInt8.self, 0...Self.shareLimit, field: "share count"))
    }

    func write(to writer: inout ByteWriter) {
        writer.write(id)
        writer.write(uid)
        writer.write(optional: owner)
        writer.write(kept.rawValue)
        writer.write(generation)
        writer.write(backing)
        writer.write(truth: isWithdrawn)
        writer.write(truth: isSuspect)
        precondition(
            names.count <= Wire.registryNamesLimit && shares.count <= Self.shareLimit, "more than a buffer has")
        writer.write(UInt8(names.count))
        for name in names { writer.write(name: name) }
        writer.write(UInt8(shares.count))
        writer.write(shares)
    }
}

extension DurableToken: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        self.init(
            id: try reader.read(), buffer: try reader.read(), maker: try reader.read(),
            rights: try reader.readRights(),
            uses: try reader.readIfThere { (reader) throws(WireError) in try reader.read() },
            end: try reader.readIfThere { (reader) throws(WireError) in try reader.read() },
            parent: try reader.readIfThere { (reader) throws(WireError) in try reader.read() })
    }

    func write(to writer: inout ByteWriter) {
        writer.write(id)
        writer.write(buffer)
        writer.write(maker)
        writer.write(rights.rawValue)
        writer.write(truth: uses != nil)
        if let uses { writer.write(uses) }
        writer.write(truth: end != nil)
        if let end { writer.write(end) }
        writer.write(truth: parent != nil)
        if let parent { writer.write(parent) }
    }
}

extension DurableAttachment: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let id: AttachmentID = try reader.read()
        let (buffer, client): (BufferID, ClientID) = (try reader.read(), try reader.read())
        let access = try reader.readAccess()
        let mobility: Mobility = try reader.readCase(field: "mobility")
        let (rights, generation): (Rights, Generation) = (try reader.readRights(), try reader.read())
        let (state, isSilent) = try reader.readState()
        self.init(
            id: id, buffer: buffer, client: client, access: access, mobility: mobility, rights: rights,
            generation: generation, state: state, isBarred: try reader.readTruth(),
            isCondemned: try reader.readTruth(), isSilent: isSilent, isPinned: try reader.readTruth(),
            token: try reader.readIfThere { (reader) throws(WireError) in try reader.read() },
            end: try reader.readIfThere { (reader) throws(WireError) in try reader.read() })
    }

    func write(to writer: inout ByteWriter) {
        writer.write(id)
        writer.write(buffer)
        writer.write(client)
        writer.write(access.rawValue)
        writer.write(mobility.rawValue)
        writer.write(rights.rawValue)
        writer.write(generation)
        writer.write(state.rawValue | (isSilent ? Self.silentBit : 0))
        writer.write(truth: isBarred)
        writer.write(truth: isCondemned)
        writer.write(truth: isPinned)
        writer.write(truth: token != nil)
        if let token { writer.write(token) }
        writer.write(truth: end != nil)
        if let end { writer.write(end) }
    }
}

extension DurableAttachment {
    /// Beside the state, whose values are few: journals of before have it unset.
    fileprivate static let silentBit: UInt8 = 0x80
}

extension ByteReader {
    fileprivate mutating func readState() throws(WireError) -> (state: AttachmentState, isSilent: Bool) {
        let bits = try read(UInt8.self)
        guard let state = AttachmentState(rawValue: bits & ~DurableAttachment.silentBit) else {
            throw .invalidValue(field: "state", value: UInt64(bits))
        }
        return (state, bits & DurableAttachment.silentBit != 0)
    }

    /// A truth value of one byte.
    mutating func readTruth() throws(WireError) -> Bool {
        let value = try read(UInt8.self)
        guard value <= 1 else { throw .invalidValue(field: "truth value", value: UInt64(value)) }
        return value == 1
    }

    fileprivate mutating func readIfThere<Value>(
        _ read: (inout ByteReader) throws(WireError) -> Value
    ) throws(WireError) -> Value? {
        try readTruth() ? try read(&self) : nil
    }
}

extension ByteWriter {
    mutating func write(truth: Bool) { write(UInt8(truth ? 1 : 0)) }
}
