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
        case .noRegistry(let path, let cause):
            let place = path.map { "at \($0.escapedForDisplay)" } ?? "anywhere: neither $XDG_RUNTIME_DIR nor --socket"
            return DMABufError(
                .noRegistry, "no registry serves \(place)", cause: cause, remedy: "start one: dmabuf-share serve")
        case .untrusted(let path):
            return DMABufError(
                .refused, "the registry at \(path.escapedForDisplay) is neither this user's nor root's",
                remedy: "name another socket")
        case .ruledOut(let refusal):
            return DMABufError(
                refusal.isDeadline ? .deadline : .refused, refusal.sentence, remedy: refusal.remedy)
        case .refused(let refusal):
            return DMABufError(refusal.reason == .failed ? .failed : .refused, refusal.text.escapedForDisplay)
        case .restarted:
            return DMABufError(
                .gone, "the registry was restarted while it was asked; whether it did it is not known",
                remedy: "look, and ask again if need be")
        case .connection(.deadline): return DMABufError(.deadline, "the registry did not answer in time")
        case .connection(let error): return DMABufError(.gone, "\(error)".escapedForDisplay)
        case .local(let error): return error
        }
    }
}
