// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufSystem

/// One process of the demo, started by `demo` itself with two sockets: 3 to its supervisor, 4 to the other process.
struct DemoRoleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "demo-role", shouldDisplay: false)

    enum Role: String, ExpressibleByArgument { case producer, consumer, owner, importer }

    @Argument var role: Role
    @Option var exporter: String = "memfd"
    @Option var registry: String?

    func run() throws {
        let channel = DemoChannel(try UnixSocket(adopting: .inherited(3)))
        do {
            switch role {
            case .producer, .consumer: try pass(channel)
            case .owner, .importer: try share(channel)
            }
        } catch {
            throw ExitCode(Status.failed)
        }
    }

    private func pass(_ channel: borrowing DemoChannel) throws {
        let socket = try UnixSocket(adopting: .inherited(4))
        var peer = try BufferPeer(socket, until: .after(DemoChannel.patience))
        if role == .producer {
            try DemoProducer.run(channel, &peer, exporter: exporter)
        } else {
            try DemoConsumer.run(channel, &peer)
        }
    }

    private func share(_ channel: borrowing DemoChannel) throws {
        var connection = try RegistryConnection(at: registry, until: .after(DemoChannel.patience))
        // The registry is killed at the end, and no other comes.
        connection.patience = .zero
        connection.answersWithin = DemoChannel.patience
        if role == .owner {
            try DemoOwner.run(channel, &connection, exporter: exporter)
        } else {
            var importer = DemoImporter(connection)
            try importer.run(channel)
        }
    }
}
