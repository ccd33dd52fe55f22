// SPDX-License-Identifier: Apache-2.0

public import DMABufSystem
import SystemPackage

/// A registry under test: the real daemon, in a process of its own, at a socket of its own.
public struct RunningRegistry: ~Copyable {
    private let daemon: Running
    private let folder: String
    public let socket: String

    /// Starts it and waits until somebody can connect.
    ///
    /// With `openFiles`, it may have no more than that many. `tool` is another build.
    public init(openFiles: Int? = nil, tool: String = Tool.path, _ options: String...) throws {
        // Who may connect is the socket's mode.
        let folder = try TemporaryFolder.make(mode: 0o755)
        let socket = "\(folder)/registry.sock"
        let limit = openFiles.map { ["sh", "-c", "ulimit -n \($0) && exec \"$@\"", "sh"] } ?? []
        let daemon = try Running(limit + [tool, "serve", "--socket", socket] + options)
        let deadline = Deadline.after(.seconds(10))
        while FileType(at: socket) != .socket || !Self.isServing(socket) {
            if deadline.hasPassed { throw Errno.timedOut }
            Clock.sleep(.milliseconds(2))
        }
        self.folder = folder
        self.socket = socket
        self.daemon = daemon
    }

    private static func isServing(_ socket: String) -> Bool {
        do {
            _ = try UnixSocket.connect(to: socket, until: .after(.seconds(1)))
            return true
        } catch { return false }
    }

    public var processID: Int32 { daemon.processID }

    /// Runs the tool against it.
    public borrowing func run(_ arguments: String...) throws -> Run {
        try Running([Tool.path] + arguments, environment: ["DMABUF_SHARE_SOCKET": socket]).finish()
    }

    public borrowing func start(_ arguments: String...) throws -> Running {
        try Running([Tool.path] + arguments, environment: ["DMABUF_SHARE_SOCKET": socket])
    }

    public borrowing func send(_ signal: SignalNumber) throws { try daemon.send(signal) }

    /// How many descriptors it has open.
    public borrowing func openDescriptors() -> Int { Folder.names("/proc/\(processID)/fd").count }

    /// Ends it in good order.
    public consuming func stop() throws -> Run {
        try daemon.send(.terminate)
        let run = try daemon.finish()
        TemporaryFolder.remove(folder)
        return run
    }
}
