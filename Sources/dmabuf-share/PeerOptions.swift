// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufConnection
import DMABufSystem
import SystemPackage

/// What `send` and `receive` have in common.
struct PeerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("How long to wait for the other side.", valueName: "seconds"))
    var timeout = Seconds(30)

    @Flag(help: "Print the result as JSON.")
    var json = false
}

/// How `send` and `receive` reach each other.
enum PeerAddress {
    /// Meets the other process at a path, or takes over an inherited socket ("fd:3"), and greets it.
    static func connect(_ address: String, until deadline: Deadline) throws(DMABufError) -> BufferPeer {
        let socket: UnixSocket
        do throws(Errno) {
            if address.hasPrefix("fd:") {
                guard let number = Int(address.dropFirst(3)) else { throw .invalidArgument }
                socket = try UnixSocket(adopting: .inherited(number))
            } else {
                socket = try Rendezvous.meet(at: address, until: deadline)
            }
        } catch {
            throw explanation(of: error, address)
        }
        return try BufferPeer(socket, until: deadline)
    }

    private static func explanation(of error: Errno, _ address: String) -> DMABufError {
        let what = "meet at \(address.escapedForDisplay)"
        switch error {
        case .timedOut:
            return DMABufError(.deadline, "\(what): nobody came in time", cause: error, remedy: "start the other side")
        case .fileExists:
            return DMABufError(
                .failed, "\(what): it is there and is no socket", cause: error, remedy: "name another path")
        case .invalidArgument where address.hasPrefix("fd:"):
            return DMABufError(.failed, "\(what): it is no SOCK_SEQPACKET unix socket", cause: error)
        case .protocolWrongTypeForSocket:
            return DMABufError(.failed, "\(what): a socket of another type is there", cause: error)
        default: return .system(what, error)
        }
    }
}
