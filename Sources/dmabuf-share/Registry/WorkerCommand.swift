// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABufServer
import DMABufSystem

/// The registry's own: makes one buffer, and ends. It opens the devices, so that the registry need not.
struct WorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "registry-worker", abstract: "Make a buffer for the registry.", shouldDisplay: false)

    func run() throws {
        Worker.run(try UnixSocket(adopting: .inherited(3)))
    }
}
