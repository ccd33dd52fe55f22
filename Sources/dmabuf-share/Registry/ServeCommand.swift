// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufPolicy
import DMABufServer
import DMABufSystem
import Logging
import SystemPackage

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the registry: who may have a buffer, for how long, and what must be waited for.",
        discussion: """
            Serves in the foreground until a signal. A socket that a service manager passes (LISTEN_FDS) is used in \
            place of --socket, and the manager is told when all is ready (NOTIFY_SOCKET).

            A vault, a process of its own at SOCKET.vault, holds all memory and a journal. If the registry is killed, the \
            next serve at this socket goes on with what was there: buffers, names, shares, tokens, and the clients that \
            come back. It ends a minute after its last registry, or with --stop.

            EXAMPLES:
              dmabuf-share serve
              dmabuf-share serve --socket /run/dmabuf-share/registry.sock --mode 0666
              dmabuf-share serve --policy /etc/dmabuf-share.policy
              dmabuf-share serve --check /etc/dmabuf-share.policy
              dmabuf-share serve --stop
            """)

    @Option(help: "Where to serve. Default: $DMABUF_SHARE_SOCKET, then this user's own.")
    var socket: String?

    @Option(help: "Who may connect, as the socket's mode. Clients trust a registry of their own user or of root.")
    var mode = SocketMode(value: 0o600)

    @Flag(help: "Make buffers for every user who may connect, and not for this one alone.")
    var allocateForAll = false

    @OptionGroup var policy: PolicyOptions

    @Option(help: "Where the vault listens. Default: SOCKET.vault.")
    var vault: String?

    @Flag(help: "Start no vault: what is registered ends with this process.")
    var noVault = false

    @Flag(help: "Take the place of the registry that serves there; its clients go on with this one.")
    var replace = false

    @Flag(help: "Stop the registry that serves there, and its vault: nothing survives.")
    var stop = false

    @Option(help: "How much to log on standard error: debug, info, notice, warning, error.")
    var log: LogLevel = .info

    /// For a command that serves by itself: the process that starts this one, and that it ends with.
    @Option(help: .hidden)
    var endWith: Int32?

    func validate() throws {
        guard noVault, vault != nil else { return }
        throw ValidationError("--vault says where one listens, and --no-vault that there is none.")
    }

    func run() throws {
        if let file = policy.check { return try policy.check(file) }
        let policy = try policy.read()
        try reporting(json: false) {
            if stop { return try RegistryStop(socket: socket, vault: vault).run() }
            // One that a service manager passes has a name of its own; it is asked for before it is taken.
            let isPassed = OwnProcess.environment("LISTEN_FDS") != nil
            do throws(Errno) { try serve(policy) } catch { throw explained(error, isPassed: isPassed) }
        }
    }

    private func serve(_ read: Policy) throws(Errno) {
        if let endWith { try OwnProcess.end(with: endWith) }
        let notifier = try ServiceNotifier.take()
        let listener = try listen()
        var logger = Logger(label: "dmabuf-share", factory: { StreamLogHandler(label: $0, stream: LogStream()) })
        logger.logLevel = log.level
        let place = listener.path.isEmpty ? "a socket of the service manager's" : listener.path
        let openFiles = try raiseOpenFiles()
        logger.info("serving", metadata: ["socket": "\(place)", "open_files": "\(openFiles)"])
        var configuration = Configuration()
        configuration.workerCommand = CommandWord.words([OwnProcess.executablePath, "registry-worker"])
        configuration.allocatesForAll = allocateForAll
        configuration.policy = read
        configuration.policyFile = policy.file
        configuration.reloading = { isBeginning in
            try? isBeginning ? notifier.reloading() : notifier.ready()
        }
        configuration.fit(openFiles: openFiles)
        configuration.vault =
            noVault
            ? nil
            : (vault ?? listener.boundPath.map(VaultPlace.beside)).map { vault in
                let command = [OwnProcess.executablePath, "registry-vault", vault]
                return VaultPlace(path: vault, command: CommandWord.words(command))
            }
        var server = try RegistryServer(listener, configuration, log: logger)
        try? notifier.ready()
        try server.serve()
        try? notifier.stopping()
    }

    private func explained(_ error: Errno, isPassed: Bool) -> DMABufError {
        guard let path = isPassed ? "the socket that was passed" : socket ?? RegistryAddress.standard else {
            return DMABufError(
                .unavailable, "serve: there is no place for a socket, as $XDG_RUNTIME_DIR is not set", cause: error,
                remedy: "name one with --socket, or set DMABUF_SHARE_SOCKET")
        }
        let remedy: String? =
            switch error {
            case .addressInUse: "a registry serves there already: use it, stop it, or take its place with --replace"
            case .fileExists: "something else is there: name another socket"
            case .noSuchFileOrDirectory: "make the folder first, or name another socket"
            case .permissionDenied, .notPermitted: "serve where this user may, or as the user who serves there"
            default: nil
            }
        return DMABufError(.failed, "serve at \(path.escapedForDisplay): \(error)", cause: error, remedy: remedy)
    }

    private func listen() throws(Errno) -> UnixListener {
        var passed = try ServiceDescriptors.take()
        if let descriptor = passed.descriptors.takeFirst() {
            let listener = try UnixListener(adopting: descriptor)
            if replace, let path = listener.boundPath { try makeRoom(at: path) }
            return listener
        }
        guard let path = socket ?? RegistryAddress.standard else { throw .invalidArgument }
        if socket == nil, let end = path.lastIndex(of: "/") {
            // Ours to make, as the path is; who may connect is the socket's mode.
            do throws(Errno) { try Folder.create(String(path[..<end]), mode: 0o755) } catch {
                guard error == .fileExists else { throw error }
            }
        }
        if replace { try makeRoom(at: path) }
        return try UnixListener(claiming: path, mode: mode.value, until: .after(.seconds(5)))
    }

    /// Where nobody serves there is room.
    private func makeRoom(at path: String) throws(Errno) {
        do throws(Errno) {
            try Vault.replace(at: vault ?? VaultPlace.beside(path), until: .after(.seconds(10)))
        } catch {
            guard error == .connectionRefused || error == .noSuchFileOrDirectory else { throw error }
        }
    }

    private func raiseOpenFiles() throws(Errno) -> UInt64 {
        let limit = try ResourceLimit.openFiles()
        if limit.soft < limit.hard { try ResourceLimit.setOpenFiles(soft: limit.hard) }
        return limit.hard
    }
}

/// An octal mode: 0600, 666.
struct SocketMode: ExpressibleByArgument {
    let value: UInt32

    init(value: UInt32) { self.value = value }

    init?(argument: String) {
        guard let value = UInt32(argument, radix: 8), value <= 0o777 else { return nil }
        self.value = value
    }

    var defaultValueDescription: String { "0" + String(value, radix: 8) }
}

enum LogLevel: String, ExpressibleByArgument, CaseIterable {
    case debug, info, notice, warning, error

    var level: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        }
    }
}
