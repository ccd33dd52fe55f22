// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// A socket that accepts connections; its file is removed when the value ends.
public struct UnixListener: ~Copyable, Sendable {
    public let descriptor: Descriptor
    public let path: String

    /// Binds `path`, which must not exist, and listens: for this user and root alone. `addressInUse` if it does exist.
    ///
    /// The corresponding C functions are `bind`, `chmod` and `listen`.
    public init(_ path: String, backlog: CInt = 16) throws(Errno) {
        let socket = try UnixSocket.newSocket()
        let number = socket.number
        try unsafe withUnixAddress(path) { address, length in unsafe bind(number, address, length) }
        do throws(Errno) {
            // Nobody can connect before `listen`, so the mode holds from the first connection on, whatever the umask.
            try nothingOrErrno { unsafe chmod(path, 0o600) }
            try nothingOrErrno { listen(number, backlog) }
        } catch {
            unsafe unlink(path)
            throw error
        }
        descriptor = socket
        self.path = path
    }

    deinit { unsafe unlink(path) }

    /// The next connection; `timedOut` at `deadline`.
    ///
    /// The corresponding C function is `accept4`.
    public borrowing func accept(until deadline: Deadline) throws(Errno) -> UnixSocket {
        if try Poll.wait(descriptor, for: .readable, until: deadline).isEmpty { throw .timedOut }
        return try accept()
    }

    /// As above; `interrupted` when a signal has arrived, which stays to be read.
    public borrowing func accept(
        until deadline: Deadline, unless signals: borrowing SignalFD
    ) throws(Errno) -> UnixSocket {
        let poller = try Poller()
        try poller.add(descriptor, token: 0)
        try poller.add(signals.descriptor, token: 1)
        switch try poller.next(until: deadline) {
        case 0: return try accept()
        case nil: throw .timedOut
        default: throw .interrupted
        }
    }

    private borrowing func accept() throws(Errno) -> UnixSocket {
        let number = descriptor.number
        return UnixSocket(socket: Descriptor(adopting: try valueOrErrno { dmabuf_accept(number) }))
    }
}

/// Calls `body` with `path` as an address; `fileNameTooLong` past the 107 bytes that `sun_path` holds.
func withUnixAddress(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
) throws(Errno) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let room = MemoryLayout.size(ofValue: address.sun_path) - 1
    guard path.utf8.count <= room, !path.isEmpty else { throw path.isEmpty ? .invalidArgument : .fileNameTooLong }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    try unsafe withUnsafePointer(to: &address) { (pointer) throws(Errno) in
        try unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { (pointer) throws(Errno) in
            try nothingOrErrno { unsafe body(pointer, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }
}
