// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport

/// A process that makes descriptors which nobody should take for memory or for a fence.
struct OddDescriptors: ~Copyable {
    private let socket: UnixSocket
    private let process: Running
    let names: [String]

    init() throws {
        let pair = try UnixSocket.pair()
        var list = DescriptorList()
        list.append(pair.second.intoDescriptor())
        let process = try Running(
            ["python3", "-S", "-E", "\(Package.root)/Tests/Clients/odd_descriptors.py"], descriptors: list)
        let socket = pair.first
        var descriptors = DescriptorList()
        let names = try Self.ask(socket, "names", &descriptors).split(separator: "\n").map(String.init)
        // Only now: a value that owns something is made whole or not at all.
        self.process = process
        self.socket = socket
        self.names = names
    }

    /// One of them; nil where this machine has none.
    func make(_ name: String) throws -> Descriptor? {
        var descriptors = DescriptorList()
        _ = try Self.ask(socket, name, &descriptors)
        return descriptors.takeFirst()
    }

    private static func ask(
        _ socket: borrowing UnixSocket, _ name: String, _ descriptors: inout DescriptorList
    ) throws -> String {
        try socket.send(Array(name.utf8), with: DescriptorList(), until: .after(HandClient.patience))
        var buffer = [UInt8](repeating: 0, count: 4096)
        var received = try socket.receive(into: &buffer, until: .after(HandClient.patience))
        while let descriptor = received.descriptors.takeFirst() { descriptors.append(descriptor) }
        return String(decoding: buffer.prefix(received.byteCount), as: UTF8.self)
    }

    consuming func end() throws {
        try process.send(.kill)
        _ = try process.finish()
    }
}
