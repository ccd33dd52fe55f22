// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// A registry with a policy, at a socket that every user reaches, and clients of several users.
struct PolicedRegistry: ~Copyable {
    private let daemon: Running
    private let folder: String
    let socket: String
    let file: String
    /// No test waits longer.
    let limit = Deadline.after(.seconds(60))

    /// Starts it, and waits until somebody can connect.
    init(_ policy: String, environment: [String: String] = [:]) throws {
        let folder = try TemporaryFolder.make()
        let (socket, file) = ("\(folder)/registry.sock", "\(folder)/policy")
        // Who may connect is the socket's mode and the policy.
        _ = try Running(["chmod", "755", folder]).finish()
        try Self.write(policy, to: file)
        let daemon = try Running(
            [
                "sh", "-c", "exec \"$@\" 2>\(folder)/log", "sh", Tool.path, "serve", "--socket", socket, "--mode",
                "0666", "--policy", file, "--log", "debug",
            ], environment: environment)
        while FileType(at: socket) != .socket || !Self.isServing(socket) {
            if limit.hasPassed { throw Errno.timedOut }
            Clock.sleep(.milliseconds(2))
        }
        self.folder = folder
        self.socket = socket
        self.file = file
        self.daemon = daemon
    }

    private static func isServing(_ socket: String) -> Bool {
        do {
            _ = try UnixSocket.connect(to: socket, until: .after(.seconds(1)))
            return true
        } catch { return false }
    }

    private static func write(_ text: String, to file: String) throws {
        let script = "printf %s \"$POLICY_TEXT\" >\(file).new && mv \(file).new \(file)"
        let run = try Running(["sh", "-c", script], environment: ["POLICY_TEXT": text]).finish()
        guard run.status == 0 else { throw Errno.ioError }
    }

    /// What it has logged so far.
    var log: String { Sysfs.text("\(folder)/log") ?? "" }

    func write(_ policy: String) throws { try Self.write(policy, to: file) }
    func send(_ signal: SignalNumber) throws { try daemon.send(signal) }

    /// Has it read another policy.
    func change(_ policy: String) throws {
        try write(policy)
        let before = timesRead
        try send(.hangUp)
        try wait { timesRead > before }
    }

    private var timesRead: Int {
        log.split(separator: "the policy was read again", omittingEmptySubsequences: false).count - 1
    }

    /// A client of another user, by the kernel's word.
    func client(_ user: UInt32) throws -> RegistryConnection {
        var made: RegistryConnection?
        try OwnUser.with(user) { made = try RegistryConnection(at: socket, until: limit) }
        guard let client = made.take() else { throw Errno.noSuchProcess }
        return client
    }

    /// The tool as another user, and of one group.
    func start(_ user: UInt32, group: UInt32? = nil, _ arguments: String...) throws -> Running {
        let group = "--regid=\(group ?? user)"
        return try Running(
            ["setpriv", "--reuid=\(user)", group, "--clear-groups", Tool.path] + arguments,
            environment: ["DMABUF_SHARE_SOCKET": socket])
    }

    consuming func stop() throws -> Run {
        try daemon.send(.terminate)
        let run = try daemon.finish()
        TemporaryFolder.remove(folder)
        return run
    }
}

extension RegistryConnection {
    mutating func registerPage(_ name: String? = nil, until limit: Deadline) throws -> BufferID {
        try register(try MemFDExporter().export(.bytes(4096)), name: name, until: limit).0
    }
}

/// Why the registry's rules, or its policy, said no; nil if they did not.
func refusal(_ ask: () throws -> Void) throws -> Refusal? {
    do {
        try ask()
        return nil
    } catch let error as RegistryError {
        guard case .ruledOut(let refusal) = error else { throw error }
        return refusal
    }
}
