// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// The answer to a client that has joined.
public struct Joined: Equatable, Sendable {
    public var client: ClientID
    /// To come back with.
    public var secret: Secret
    /// Which run of the registry: numbers of another run mean nothing in this one.
    public var run: UInt64

    public init(client: ClientID, secret: Secret, run: UInt64) {
        self.client = client
        self.secret = secret
        self.run = run
    }
}

extension Joined: WireValue {
    init(from reader: inout ByteReader) throws(WireError) {
        client = try reader.read()
        secret = try reader.read()
        guard secret != .zeros else { throw .invalidValue(field: "secret", value: 0) }
        run = try reader.read()
    }

    func write(to writer: inout ByteWriter) {
        precondition(secret != .zeros, "zeros stand for no secret")
        writer.write(client)
        writer.write(secret)
        writer.write(run)
    }
}
