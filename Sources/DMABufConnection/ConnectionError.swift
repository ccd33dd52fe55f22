// SPDX-License-Identifier: Apache-2.0

public import DMABufWire
public import SystemPackage

/// Why a connection is over, or a wait on it.
public enum ConnectionError: Error, Equatable, Sendable {
    /// The peer closed without a word.
    case closed
    /// The peer ended it and said why.
    case farewell(Farewell)
    /// The peer broke the protocol.
    case wire(WireError)
    /// The kernel could not deliver all descriptors: this process's table is full, or a security module refused one.
    case descriptorsLost
    case unexpected(String)
    /// Nothing came, or nothing could be sent, by the deadline. The connection still stands.
    case deadline
    case system(Errno)
}

extension ConnectionError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .closed: "the peer closed the connection"
        case .farewell(let farewell): "the peer ended the connection: \(farewell.text) (\(farewell.reason))"
        case .wire(let error): "\(error)"
        case .descriptorsLost: "descriptors of a message were lost: the table of open files is full"
        case .unexpected(let what): "\(what) was not expected"
        case .deadline: "the peer did not answer in time"
        case .system(let error): "\(error)"
        }
    }
}
