// SPDX-License-Identifier: Apache-2.0

import DMABufClient
import DMABufSystem
import Synchronization

/// Two ends of one connection, each on a thread of its own, for each blocks. Processes come in CommandLineTests.
func play<Sent: Sendable, Got: Sendable>(
    sender: @escaping @Sendable (inout BufferPeer) throws -> Sent,
    receiver: @escaping @Sendable (inout BufferPeer) throws -> Got
) async throws -> (Result<Sent, any Error>, Result<Got, any Error>) {
    let pair = try UnixSocket.pair()
    let (first, second) = (SocketBox(pair.first), SocketBox(pair.second))
    async let sent = first.run(sender)
    async let got = second.run(receiver)
    return await (sent, got)
}

let soon: Duration = .seconds(10)

/// Carries a socket into a task.
private final class SocketBox: Sendable {
    private let socket: Mutex<UnixSocket?>

    init(_ socket: consuming UnixSocket) {
        self.socket = Mutex(socket)
    }

    func run<Value: Sendable>(
        _ body: @escaping @Sendable (inout BufferPeer) throws -> Value
    ) async -> Result<Value, any Error> {
        await Task.detached {
            Result {
                guard let socket = self.socket.withLock({ $0.take() }) else { preconditionFailure("taken twice") }
                var peer = try BufferPeer(socket, until: .after(soon))
                return try body(&peer)
            }
        }.value
    }
}
