// SPDX-License-Identifier: Apache-2.0

public import DMABufSystem
import SystemPackage

/// A registry under test: the real daemon, in a process of its own, at a socket of its own.
public struct RunningRegistry: ~Copyable {
    private var daemon: Running
    private let command: [String]
    private let folder: OwnFolder
    public let socket: String

    /// Starts it and waits until somebody can connect.
    ///
    /// With `openFiles`, it may have no more than that many. `tool` is another build.
    public init(openFiles: Int? = nil, tool: String = Tool.path, _ options: String...) throws {
        // Who may connect is the socket's mode.
        let folder = try OwnFolder(mode: 0o755)
        let socket = "\(folder.path)/registry.sock"
        let limit = openFiles.map { ["sh", "-c", "ulimit -n \($0) && exec \"$@\"", "sh"] } ?? []
        let command = limit + [tool, "serve", "--socket", socket] + options
        let daemon = try Self.serve(command, socket)
        self.folder = folder
        self.socket = socket
        self.command = command
        self.daemon = daemon
    }

    private static func serve(_ command: [String], _ socket: String) throws -> Running {
        let daemon = try Running(command)
        let deadline = Deadline.after(.seconds(60))
        while FileType(at: socket) != .socket || !isServing(socket) {
            if deadline.hasPassed { throw Errno.timedOut }
            Clock.sleep(.milliseconds(2))
        }
        return daemon
    }

    /// Kills it, and has another take its place at the same socket. Returns what the one that was killed has logged.
    @discardableResult
    public mutating func restart(
        after pause: Duration = .zero, _ meanwhile: () throws -> Void = {}
    ) throws -> String {
        var killed = try Running(["true"])
        swap(&daemon, &killed)
        try killed.send(.kill)
        let log = try killed.finish().errors
        Clock.sleep(pause)
        try meanwhile()
        daemon = try Self.serve(command, socket)
        return log
    }

    /// Ends it in good order, and has another take its place at the same socket.
    public mutating func startAgain() throws -> Run {
        var old = try Running(["true"])
        swap(&daemon, &old)
        try old.send(.terminate)
        let run = try old.finish()
        daemon = try Self.serve(command, socket)
        return run
    }

    /// Has another take its place, which it makes room for.
    public mutating func replace() throws -> Run {
        var old = try Running(command + ["--replace"])
        swap(&daemon, &old)
        return try old.finish()
    }

    /// Its vault's process, by what it was started as.
    public borrowing func vaultProcess() throws -> Int32 {
        let command = "registry-vault\0\(socket).vault\0"
        for process in Folder.names("/proc").compactMap({ Int32($0) }) {
            let line = (try? Sysfs.bytes("/proc/\(process)/cmdline")) ?? []
            if String(decoding: line, as: UTF8.self).contains(command) { return process }
        }
        throw Errno.noSuchProcess
    }

    private static func isServing(_ socket: String) -> Bool {
        do {
            // It listens before it has its vault, and says hello when all is ready.
            let connection = try UnixSocket.connect(to: socket, until: .after(.seconds(1)))
            var hello = [UInt8](repeating: 0, count: 256)
            _ = try connection.receive(into: &hello, until: .after(.seconds(5)))
            return true
        } catch { return false }
    }

    public var processID: Int32 { daemon.processID }

    /// Runs the tool against it.
    public borrowing func run(_ arguments: String...) throws -> Run { try run(arguments) }

    public borrowing func run(_ arguments: [String]) throws -> Run {
        try Running([Tool.path] + arguments, environment: ["DMABUF_SHARE_SOCKET": socket]).finish()
    }

    public borrowing func start(_ arguments: String...) throws -> Running {
        try Running([Tool.path] + arguments, environment: ["DMABUF_SHARE_SOCKET": socket])
    }

    public borrowing func send(_ signal: SignalNumber) throws { try daemon.send(signal) }

    /// How many descriptors it has open.
    public borrowing func openDescriptors() -> Int { TestSupport.openDescriptors(of: processID).count }

    /// Ends it in good order.
    public consuming func stop() throws -> Run {
        try daemon.send(.terminate)
        return try daemon.finish()
    }
}
