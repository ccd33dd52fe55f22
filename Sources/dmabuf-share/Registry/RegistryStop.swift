// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufServer
import DMABufSystem
import SystemPackage

/// `serve --stop`. A vault has its registry end first and then ends itself; a registry that has none beside its socket is told by
/// a signal.
struct RegistryStop {
    let socket: String?
    let vault: String?
    private static let patience = Duration.seconds(15)

    init(socket: String?, vault: String?) {
        (self.socket, self.vault) = (socket, vault)
    }

    func run() throws(DMABufError) {
        guard let path = socket ?? RegistryAddress.standard else {
            throw RegistryError.noRegistry(path: nil, nil).asError
        }
        let deadline = Deadline.after(Self.patience)
        do throws(Errno) { try Vault.stop(at: vault ?? VaultPlace.beside(path), until: deadline) } catch {
            guard error == .connectionRefused || error == .noSuchFileOrDirectory else { throw explained(error, path) }
            do throws(Errno) { try terminate(at: path, until: deadline) } catch { throw explained(error, path) }
        }
    }

    /// Who listens is known from the kernel; where that is a service manager it is left alone.
    private func terminate(at path: String, until deadline: Deadline) throws(Errno) {
        let peer = try UnixSocket.connect(to: path, until: deadline).peer
        guard [0, OwnProcess.userID].contains(peer.user) else { throw .notPermitted }
        let process = try PidFD(peer.process)
        let own = ProcFS.command(of: Int(OwnProcess.processID))
        guard ProcFS.command(of: Int(peer.process)) == own else { throw .notSupported }
        try process.send(SignalNumber.terminate.rawValue)
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
