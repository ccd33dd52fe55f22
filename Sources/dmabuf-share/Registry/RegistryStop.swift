// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufServer
import DMABufSystem
import SystemPackage

/// `serve --stop`. A vault has its registry end first and then ends itself; a registry that this has not ended, because it has
/// none or another, is told by a signal.
struct RegistryStop {
    let socket: String?
    let vault: String?
    private static let patience = Duration.seconds(15)
    private static let grace = Duration.seconds(3)

    init(socket: String?, vault: String?) {
        (self.socket, self.vault) = (socket, vault)
    }

    func run() throws(DMABufError) {
        guard let path = socket ?? RegistryAddress.standard else {
            throw RegistryError.noRegistry(path: nil, nil).asError
        }
        let deadline = Deadline.after(Self.patience)
        // Who serves is found before anything ends: afterwards a service manager might start another.
        let server: Result<PidFD?, Errno> = Result { () throws(Errno) in
            try Self.server(at: path, until: .after(.seconds(1)))
        }
        var hasStopped = true
        do throws(Errno) { try Vault.stop(at: vault ?? VaultPlace.beside(path), until: deadline) } catch {
            guard error == .connectionRefused || error == .noSuchFileOrDirectory else { throw explained(error, path) }
            hasStopped = false
        }
        do throws(Errno) {
            guard let process = try server.get() else {
                if hasStopped { return }
                throw Errno.notSupported
            }
            // The vault's own is ending by itself.
            let grace = hasStopped ? min(deadline, .after(Self.grace)) : .now()
            if try !Poll.wait(process.descriptor, for: .readable, until: grace).isEmpty { return }
            try Self.terminate(process, until: deadline)
        } catch {
            // Where the vault has ended its registry, nobody need be there any more.
            if hasStopped, error != .timedOut || !deadline.hasPassed { return }
            throw explained(error, path)
        }
    }

    /// The process that listens there, as the kernel knows it; nil where that is a service manager, which is left alone.
    private static func server(at path: String, until deadline: Deadline) throws(Errno) -> PidFD? {
        let peer = try PeerIdentity(of: UnixSocket.connect(to: path, until: deadline))
        guard OwnProcess.userID == 0 || OwnProcess.trusts(peer.user) else { throw .notPermitted }
        guard peer.process > 0, let own = ProcFS.command(of: Int(OwnProcess.processID)),
            ProcFS.command(of: Int(peer.process)) == own, try !peer.pidfd.hasEnded
        else { return nil }
        return try PidFD(duplicating: peer.pidfd)
    }

    private static func terminate(_ process: borrowing PidFD, until deadline: Deadline) throws(Errno) {
        do throws(Errno) { try process.send(SignalNumber.terminate.rawValue) } catch {
            if error == .noSuchProcess { return }
            throw error
        }
        if try Poll.wait(process.descriptor, for: .readable, until: deadline).isEmpty { throw .timedOut }
    }

    private func explained(_ error: Errno, _ path: String) -> DMABufError {
        let place = path.escapedForDisplay
        switch error {
        case .connectionRefused, .noSuchFileOrDirectory, .noSuchProcess:
            return RegistryError.noRegistry(path: path, error).asError
        case .timedOut: return DMABufError(.deadline, "the registry at \(place) did not stop in time", cause: error)
        case .permissionDenied, .notPermitted:
            return DMABufError(
                .unavailable, "the registry at \(place) is another user's", cause: error,
                remedy: "stop it as the user who serves there, or as root")
        case .notSupported:
            return DMABufError(
                .unavailable, "the socket at \(place) is a service manager's", cause: error,
                remedy: "have that stop it: systemctl stop dmabuf-share.service dmabuf-share.socket")
        default: return .system("stop the registry at \(place)", error)
        }
    }
}
