// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage

/// A connection whose registry has said who this client is.
struct Joining: ~Copyable {
    /// For the answer of a registry to which all come back at once.
    private static let patience: Duration = .seconds(10)

    private let connection: Connection
    private var answer: Incoming
    let joined: Joined

    /// Connects to the registry at `path`, checks that it is this user's or root's, and joins.
    init(
        _ path: String, _ features: Hello.Features, _ secret: Secret?, until deadline: Deadline
    ) throws(RegistryError) {
        try self.init(Self.connect(to: path, until: deadline), features, secret, until: deadline)
    }

    private static func connect(to path: String, until deadline: Deadline) throws(RegistryError) -> UnixSocket {
        do throws(Errno) {
            Failpoint.reach(.before, .connect)
            let socket = try UnixSocket.connect(to: path, until: deadline)
            Failpoint.reach(.after, .connect)
            let user = try socket.peer.user
            if OwnProcess.trusts(user) { return socket }
            throw Errno.notPermitted
        } catch {
            throw error == .notPermitted ? .untrusted(path: path) : .noRegistry(path: path, error)
        }
    }

    /// Joins, or comes back with a secret.
    init(
        _ socket: consuming UnixSocket, _ features: Hello.Features, _ secret: Secret?, until deadline: Deadline
    ) throws(RegistryError) {
        var connection = Connection(socket)
        let answer: Incoming
        do throws(ConnectionError) {
            Failpoint.reach(.before, .hello)
            let hello = try connection.exchangeHello(features, until: deadline)
            guard hello.features.contains(.registry) else {
                throw connection.end(.unexpected, .unexpected("a peer that is no registry"))
            }
            try connection.send(.join(Join(secret: secret)), until: deadline)
            Failpoint.reach(.during, .hello)
            // Who has shown its secret and leaves is dead, and all that it owns ends.
            answer = try connection.receive(until: secret == nil ? deadline : max(deadline, .after(Self.patience)))
            Failpoint.reach(.after, .hello)
        } catch { throw .connection(error) }
        guard case .joined(let joined) = answer.envelope.message else {
            throw .connection(connection.end(.unexpected, .unexpected("another answer to join")))
        }
        self.connection = connection
        self.answer = answer
        self.joined = joined
    }

    /// nil where the registry has none for this client.
    mutating func takePages() throws(RegistryError) -> ClientPages? {
        guard let pages = joined.pages else { return nil }
        do throws(Errno) { return try ClientPages(joined, pages, &answer.descriptors) } catch {
            throw .local(.system("map the registry's control pages", error))
        }
    }

    consuming func intoConnection() -> Connection { connection }
}
