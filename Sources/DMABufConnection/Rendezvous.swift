// SPDX-License-Identifier: Apache-2.0

public import DMABufSystem
public import SystemPackage

/// Two processes meet at a path, whichever comes first: one listens, the other connects.
///
/// Rule: *Nobody unlinks a socket that someone listens on.* A refused connection means either a file left behind or a
/// moment between `bind` and `listen`, so both are done under a lock on the folder, and only a socket is ever removed.
public enum Rendezvous {
    /// Connects to the listener at `path`, or listens there for one peer, until `deadline`. Throws `timedOut` then, and
    /// `fileExists` if something that is no socket lies at `path`; nothing is left at `path` in any case.
    public static func meet(at path: String, until deadline: Deadline) throws(Errno) -> UnixSocket {
        try meet(at: path, until: deadline) { (listener) throws(Errno) in try listener.accept(until: deadline) }
    }

    /// As above; `interrupted` when a signal arrives at `signals`, where it stays.
    public static func meet(
        at path: String, until deadline: Deadline, unless signals: borrowing SignalFD
    ) throws(Errno) -> UnixSocket {
        try meet(at: path, until: deadline) { (listener) throws(Errno) in
            try listener.accept(until: deadline, unless: signals)
        }
    }

    private static func meet(
        at path: String, until deadline: Deadline, _ accept: (borrowing UnixListener) throws(Errno) -> UnixSocket
    ) throws(Errno) -> UnixSocket {
        if let socket = try connect(to: path, until: deadline) { return socket }
        let lock = try FolderLock(holding: path, until: deadline)
        // Again: someone may have begun to listen before we got the lock.
        if let socket = try connect(to: path, until: deadline) { return socket }
        switch FileType(at: path) {
        case .missing: break
        case .socket: try FileType.remove(path)
        case .other: throw .fileExists
        }
        let listener = try UnixListener(path)
        lock.unlock()
        return try accept(listener)
    }

    /// nil if nobody listens.
    private static func connect(to path: String, until deadline: Deadline) throws(Errno) -> UnixSocket? {
        do throws(Errno) {
            return try UnixSocket.connect(to: path, until: deadline)
        } catch {
            guard error == .noSuchFileOrDirectory || error == .connectionRefused else { throw error }
            return nil
        }
    }
}
