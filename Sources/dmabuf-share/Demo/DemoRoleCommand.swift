// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufSystem

/// One process of the demo, started by `demo` itself with two sockets: 3 to its supervisor, 4 to the other process.
struct DemoRoleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "demo-role", shouldDisplay: false)

    enum Role: String, ExpressibleByArgument { case producer, consumer }

    @Argument var role: Role
    @Option var exporter: String = "memfd"

    func run() throws {
        let channel = DemoChannel(try UnixSocket(adopting: .inherited(3)))
        let socket = try UnixSocket(adopting: .inherited(4))
        do {
            var peer = try BufferPeer(socket, until: .after(DemoChannel.patience))
            switch role {
            case .producer: try DemoProducer.run(channel, &peer, exporter: exporter)
            case .consumer: try DemoConsumer.run(channel, &peer)
            }
        } catch {
            throw ExitCode(Status.failed)
        }
    }
}
