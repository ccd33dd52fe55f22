// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufConnection
import DMABufSystem
import SystemPackage

/// `serve`, for as long as a command runs: in a process of its own, because what strangers send to a registry must be in no
/// other program's table of open files. It ends with this process, however that ends.
struct EmbeddedRegistry: ~Copyable {
    private let child: ChildProcess

    init(at socket: String?) throws {
        let place = socket.map { ["--socket", $0] } ?? []
        let serve = ["serve", "--no-vault", "--log", "warning", "--end-with", "\(OwnProcess.processID)"]
        child = try start(
            CommandWord.words([OwnProcess.executablePath] + serve + place), environment: OwnProcess.environment)
    }

    /// Whoever else loses sight of it ends it as well.
    deinit {
        try? child.send(.terminate)
        if case nil = try? child.wait(until: .after(.seconds(5))) {
            try? child.send(.kill)
            _ = try? child.wait(until: .after(.seconds(5)))
        }
    }

    /// Joins it, and no other that may serve there already. What keeps it from serving it says itself, and its status is ours.
    func connect(at socket: String?, until deadline: Deadline) throws -> RegistryConnection {
        let path = socket ?? RegistryAddress.standard
        while true {
            if let connected = path.flatMap({ try? UnixSocket.connect(to: $0, until: deadline) }),
                try connected.peer.process == child.processID
            {
                return try RegistryConnection(connected, until: deadline)
            }
            if let ending = try child.wait(until: .after(.milliseconds(2))) { throw ExitCode(ending.status) }
            if deadline.hasPassed { throw RegistryError.connection(.deadline) }
        }
    }

    consuming func end() {}
}

/// As ``asking(_:onlyListening:_:)``, of a registry that this command serves itself.
func serving(_ options: RegistryOptions, _ work: (inout RegistryConnection) throws -> Void) throws {
    try reporting(json: options.json) {
        let own = try EmbeddedRegistry(at: options.socket)
        let result = Result {
            var registry = try own.connect(at: options.socket, until: options.deadline)
            registry.answersWithin = options.timeout.duration
            try work(&registry)
        }
        own.end()
        do { try result.get() } catch let error as RegistryError { throw error.asError }
    }
}
