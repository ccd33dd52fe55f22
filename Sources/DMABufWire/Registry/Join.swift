// SPDX-License-Identifier: Apache-2.0

/// A client's first request: it comes for the first time, or comes back.
public struct Join: Equatable, Sendable {
    /// What it was told when it joined before; nil the first time.
    public var secret: Secret?

    public init(secret: Secret? = nil) {
        self.secret = secret
    }
}

/// 128 random bits that only the registry and this client know.
public struct Secret: Equatable, Sendable {
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// What stands for no secret.
    static let zeros = Secret(high: 0, low: 0)

    /// In constant time.
    public static func == (left: Secret, right: Secret) -> Bool {
        (left.high ^ right.high) | (left.low ^ right.low) == 0
    }
}

extension Join: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        let secret: Secret = try reader.read()
        self.secret = secret == .zeros ? nil : secret
    }

    func write(to writer: inout ByteWriter) {
        precondition(secret != Secret.zeros, "zeros stand for no secret")
        writer.write(secret ?? Secret.zeros)
    }
}

extension Secret: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        high = try reader.read(UInt64.self).byteSwapped
        low = try reader.read(UInt64.self).byteSwapped
    }

    func write(to writer: inout ByteWriter) {
        writer.write(high.byteSwapped)
        writer.write(low.byteSwapped)
    }
}
