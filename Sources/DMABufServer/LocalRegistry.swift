// SPDX-License-Identifier: Apache-2.0

public import DMABufSystem
public import Logging
public import SystemPackage

/// A registry in this process, on a thread of its own, for clients that this process makes: the same code as the daemon's,
/// over a socketpair for each. It takes no signals and has no vault: it ends with its value, or with the process.
///
/// It has no socket that others find. What strangers send must be in no other program's table of open files, so do not hand
/// its sockets to processes that you do not trust: run `dmabuf-share serve` for those.
public struct LocalRegistry: ~Copyable, Sendable {
    private let door: UnixSocket
    private let thread: WorkerThread

    /// Serves from here on. A policy and limits may be given; a vault is not used.
    ///
    /// Throws what the system says where there is no room for it: descriptors, or a thread.
    public init(_ configuration: Configuration = Configuration(), log: Logger) throws(Errno) {
        let pair = try UnixSocket.pair()
        var configuration = configuration
        configuration.vault = nil
        let server = ServerOfThread(try RegistryServer(through: pair.second, configuration, log: log))
        thread = try WorkerThread(named: "registry") { server.serve() }
        door = pair.first
    }

    /// A connection to it, for `RegistryConnection(_:until:)`.
    ///
    /// The corresponding C functions are `socketpair` and `sendmsg`.
    public borrowing func connect() throws(Errno) -> UnixSocket {
        let pair = try UnixSocket.pair()
        var list = DescriptorList()
        list.append(pair.second.intoDescriptor())
        try door.send([0], with: list, until: .after(.seconds(1)))
        return pair.first
    }

    /// Its clients are told, and it has ended when this returns.
    deinit { door.shutdown() }
}

/// Used by one thread alone.
private final class ServerOfThread: @unchecked Sendable {
    private var server: RegistryServer

    init(_ server: consuming RegistryServer) { self.server = server }

    func serve() {
        do throws(Errno) { try server.serve() } catch {
            server.log.error("the registry of this process has ended", metadata: ["error": "\(error)"])
        }
    }
}
