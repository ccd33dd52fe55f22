// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

/// The real registry and its Python clients, from the first word to the last.
final class PythonStory {
    private var registry: RunningRegistry?
    private var clients: [PythonClient] = []
    let socket: String
    private let descriptors: Int

    init() throws {
        let registry = try RunningRegistry("--mode", "0666")
        socket = registry.socket
        // It listens before it has opened all that it needs: who is answered finds it complete.
        _ = try registry.run("stats")
        // Those of the connections that found it serving go first.
        try registry.settle(at: nil)
        descriptors = registry.openDescriptors()
        self.registry = consume registry
    }

    deinit {
        clients = []
        if let registry = registry.take() { _ = try? registry.stop() }
    }

    /// One more. With `uid` it is another user's, to whom the folder is opened.
    func client(uid: UInt32? = nil, hasPages: Bool = false) throws -> PythonClient {
        if uid != nil {
            let folder = String(socket[..<(socket.lastIndex(of: "/") ?? socket.endIndex)])
            _ = try Running(["chmod", "711", folder]).finish()
        }
        let client = try PythonClient(at: socket, uid: uid, hasPages: hasPages)
        clients.append(client)
        return client
    }

    /// The next notice of each that is still there.
    func everyoneHears(_ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        for client in clients where client.isThere { try client.hear(name, sourceLocation: sourceLocation) }
    }

    /// The registry stops while its clients are there.
    func stop() throws -> Run? { try registry.take()?.stop() }

    /// All has been heard and answered, and when all have left, nothing of theirs stays.
    func end(sourceLocation: SourceLocation = #_sourceLocation) throws {
        for client in clients { try client.expectNothingMore(sourceLocation: sourceLocation) }
        for client in clients { try client.leave() }
        guard let registry = registry.take() else { return }
        try wait({ registry.openDescriptors() <= descriptors }, sourceLocation: sourceLocation)
        let run = try registry.stop()
        #expect(run.status == 0 && !run.errors.contains(" warning "), "\(run.errors)", sourceLocation: sourceLocation)
    }
}
