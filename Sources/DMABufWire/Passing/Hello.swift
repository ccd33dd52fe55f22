// SPDX-License-Identifier: Apache-2.0

/// Its version is always this one: a hello of another is ``WireError/version(_:)``.
public struct Hello: Equatable, Sendable {
    public var features: Features

    public init(features: Features = []) {
        self.features = features
    }

    /// What a side can do beyond the base; what both have is in force.
    public struct Features: OptionSet, Sendable {
        public let rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }

        /// The sharing registry's messages.
        public static var registry: Features { Features(rawValue: 1 << 0) }
        /// Accesses through control pages; of the registry's alone.
        public static var pages: Features { Features(rawValue: 1 << 1) }
    }
}

extension Hello: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let magic = try reader.read(UInt32.self)
        guard magic == Wire.magic else { throw .magic(magic) }
        // Before anything behind it, which another version may have laid out otherwise.
        let version = try reader.read(UInt16.self)
        guard version == Wire.version else { throw .version(version) }
        try reader.readReserved(2)
        features = .init(rawValue: try reader.read())
    }

    func write(to writer: inout ByteWriter) {
        writer.write(Wire.magic)
        writer.write(Wire.version)
        writer.writeReserved(2)
        writer.write(features.rawValue)
    }
}
