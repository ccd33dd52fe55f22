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

/// How `send` and `receive` reach each other. Made first of all: an inherited number belongs to whoever started us only
/// until something else is opened.
struct PeerAddress: ~Copyable {
    private let text: String
    private var inherited: UnixSocket?

    /// A path, or "fd:N", which is taken over at once.
    init(_ text: String) throws(DMABufError) {
        self.text = text
        inherited = nil
        guard text.hasPrefix("fd:") else { return }
        do throws(Errno) {
            guard let number = Int(text.dropFirst(3)) else { throw .invalidArgument }
            inherited = try UnixSocket(adopting: .inherited(number))
        } catch {
            throw Self.explanation(of: error, text)
        }
    }

    /// Meets the other process, or uses the inherited socket, and greets. A signal that ends the program while it waits
    /// ends it after the socket's file is gone.
    consuming func connect(until deadline: Deadline) throws(DMABufError) -> BufferPeer {
        if let socket = inherited.take() { return try BufferPeer(socket, until: deadline) }
        let socket: UnixSocket
        do throws(Errno) {
            socket = try Rendezvous.meet(at: text, until: deadline, unless: SignalFD.termination())
        } catch {
            throw Self.explanation(of: error, text)
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
