// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufConnection
public import DMABufModel
import DMABufSystem
public import DMABufWire
public import SystemPackage

/// Why the registry did not do what it was asked.
public enum RegistryError: Error, Sendable {
    /// Nobody serves there.
    case noRegistry(path: String?, Errno?)
    /// Who serves there is neither this user nor root.
    case untrusted(path: String)
    /// A rule says no: which, and who is in the way.
    case ruledOut(Refusal)
    /// A descriptor is not what it was called, or the registry could not do it.
    case refused(OfferRefusal)
    case connection(ConnectionError)
    /// The registry died while this was asked, and another has taken its place: whether it was done is not known.
    case restarted
    /// This side could not do its part.
    case local(DMABufError)
}

extension RegistryError {
    /// For programs that know one error type: the same in words, with what to do.
    public var asError: DMABufError {
        switch self {
        case .noRegistry(let path?, let cause): return Self.notReached(path, cause)
        case .noRegistry(nil, let cause):
            return DMABufError(
                .noRegistry, "no registry serves: there is no place for its socket, as $XDG_RUNTIME_DIR is not set",
                cause: cause,
                remedy: "set DMABUF_SHARE_SOCKET, or name a socket with --socket, here and for dmabuf-share serve")
        case .untrusted(let path):
            return DMABufError(
                .refused, "the registry at \(path.escapedForDisplay) is neither this user's nor root's",
                remedy: "name another socket")
        case .ruledOut(let refusal):
            return DMABufError(
                refusal.isDeadline ? .deadline : .refused, refusal.sentence, remedy: refusal.remedy)
        case .refused(let refusal):
            return DMABufError(refusal.reason.code, refusal.text.escapedForDisplay)
        case .restarted:
            return DMABufError(
                .gone, "the registry was restarted while it was asked; whether it did it is not known",
                remedy: "look, and ask again if need be")
        case .connection(.farewell(let farewell)): return Self.toldToGo(farewell)
        case .connection(.deadline): return DMABufError(.deadline, "the registry did not answer in time")
        case .connection(let error): return DMABufError(.gone, "\(error)".escapedForDisplay)
        case .local(let error): return error
        }
    }

    private static func notReached(_ path: String, _ cause: Errno?) -> DMABufError {
        let place = path.escapedForDisplay
        switch cause {
        case .permissionDenied:
            return DMABufError(
                .unavailable, "the registry's socket at \(place) is closed to this user", cause: cause,
                remedy:
                    "have it served with another mode (dmabuf-share serve --mode 0666), or serve one of your own elsewhere"
            )
        case .invalidArgument, .fileNameTooLong, .noBufferSpace:
            return DMABufError(
                .invalid, "\(place.isEmpty ? "nothing" : place) is no path for a socket: it has 1 to 107 bytes",
                cause: cause,
                remedy: "name another socket")
        case .connectionRefused where FileType(at: path) == .other:
            return DMABufError(
                .noRegistry, "no registry serves at \(place), which is no socket", cause: cause,
                remedy: "name another socket, or start one there: dmabuf-share serve")
        default:
            let elsewhere = path == RegistryAddress.standard ? "" : " --socket \(place)"
            return DMABufError(
                .noRegistry, "no registry serves at \(place)", cause: cause,
                remedy: "start one: dmabuf-share serve\(elsewhere)")
        }
    }

    private static func toldToGo(_ farewell: Farewell) -> DMABufError {
        let text = "the registry ended the connection: \(farewell.text) (\(farewell.reason))".escapedForDisplay
        switch farewell.reason {
        case .unserved: return DMABufError(.refused, text, remedy: "ask whoever runs the registry")
        case .full:
            return DMABufError(
                .unavailable, text, remedy: "try again later, or have its limits and those of its user raised")
        case .leaving: return DMABufError(.gone, text, remedy: "try again in a moment")
        default: return DMABufError(.gone, text)
        }
    }
}

extension OfferRefusal.Reason {
    fileprivate var code: DMABufError.Code {
        switch self {
        case .failed: .failed
        case .unavailable: .unavailable
        default: .refused
        }
    }
}
