// SPDX-License-Identifier: Apache-2.0

public import DMABufModel

/// The answer to a client that has joined.
public struct Joined: Equatable, Sendable {
    public var client: ClientID
    /// To come back with.
    public var secret: Secret
    /// Which run of the registry: numbers of another run mean nothing in this one.
    public var run: UInt64
    /// With the descriptors of both pages: the published one, then the client's own.
    public var pages: Pages?

    public init(client: ClientID, secret: Secret, run: UInt64, pages: Pages? = nil) {
        self.client = client
        self.secret = secret
        self.run = run
        self.pages = pages
    }
}

extension Joined {
    init(hasPages: Bool, from reader: inout ByteReader) throws(WireError) {
        client = try reader.read()
        secret = try reader.read()
        guard secret != .zeros else { throw .invalidValue(field: "secret", value: 0) }
        run = try reader.read()
        pages = hasPages ? try reader.read() : nil
    }

    func write(to writer: inout ByteWriter) {
        precondition(secret != .zeros, "zeros stand for no secret")
        writer.write(client)
        writer.write(secret)
        writer.write(run)
        if let pages { writer.write(pages) }
    }
}
