// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport

/// A process of another user that is the client of whoever speaks through it: `Tests/Clients/relay.py`.
struct Relay: ~Copyable {
    private let process: Running
    private var socket: UnixSocket?
    var processID: Int32 { process.processID }

    init(to path: String, as user: UInt32) throws {
        let pair = try UnixSocket.pair()
        var list = DescriptorList()
        list.append(pair.second.intoDescriptor())
        process = try Running(
            ["python3", "-S", "-E", "\(Package.root)/Tests/Clients/relay.py", path, "\(user)"], descriptors: list)
        // Its end of the pair is its own: with a copy here, its death would not be heard.
        list = DescriptorList()
        let near = pair.first
        socket = consume near
    }

    /// The near end, once.
    mutating func takeSocket() -> UnixSocket { socket.take()! }

    consuming func kill() throws {
        try process.send(.kill)
        _ = try process.finish()
    }
}
