// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// A `SOCK_SEQPACKET` unix socket: one message is one datagram, and its descriptors come with it or not at all.
///
/// | Swift                   | C function                            |
/// |-------------------------|---------------------------------------|
/// | `pair`                  | `socketpair`                          |
/// | `connect`               | `socket`, `connect`                   |
/// | `send`, `trySend`       | `sendmsg` with `SCM_RIGHTS`           |
/// | `trySendLast`           | the same, and `setsockopt(SO_SNDBUF)` |
/// | `receive`, `tryReceive` | `recvmsg` with `MSG_CMSG_CLOEXEC`     |
/// | `unreadBytes`           | `ioctl(SIOCOUTQ)`                     |
/// | `peer`                  | `getsockopt(SO_PEERCRED)`             |
public struct UnixSocket: ~Copyable, Sendable {
    public let descriptor: Descriptor

    /// Takes over a connected socket, such as one this process was started with. `invalidArgument` unless it is a
    /// `SOCK_SEQPACKET` unix socket.
    public init(adopting descriptor: consuming Descriptor) throws(Errno) {
        let number = descriptor.number
        guard
            try integerOption(number, SO_DOMAIN) == AF_UNIX,
            try integerOption(number, SO_TYPE) == CInt(SOCK_SEQPACKET.rawValue)
        else { throw .invalidArgument }
        Self.clearPassedOptions(number)
        self.descriptor = descriptor
    }

    /// Options of a former owner would bring more than SCM_RIGHTS, and take the room of descriptors.
    static func clearPassedOptions(_ number: CInt) {
        for option in [SO_PASSCRED, soPassPIDFD] { setOption(number, option, 0) }
    }

    init(socket descriptor: consuming Descriptor) {
        self.descriptor = descriptor
    }

    /// Two connected ends.
    public static func pair() throws(Errno) -> SocketPair {
        var numbers: [2 of CInt] = [-1, -1]
        try nothingOrErrno {
            unsafe withUnsafeMutableBytes(of: &numbers) {
                unsafe socketpair(AF_UNIX, type, 0, $0.baseAddress!.assumingMemoryBound(to: CInt.self))
            }
        }
        return SocketPair(
            first: UnixSocket(socket: Descriptor(adopting: numbers[0])),
            second: UnixSocket(socket: Descriptor(adopting: numbers[1])))
    }

    /// Connects to a listening socket. `connectionRefused` means that the file is there and nobody listens, `timedOut`
    /// that the listener has more waiting than it accepts.
    public static func connect(to path: String, until deadline: Deadline) throws(Errno) -> UnixSocket {
        let descriptor = try newSocket()
        let number = descriptor.number
        try setTimeout(number, SO_SNDTIMEO, deadline.nanosecondsRemaining)
        do throws(Errno) {
            try unsafe withUnixAddress(path) { address, length in unsafe Glibc.connect(number, address, length) }
        } catch {
            throw error == .resourceTemporarilyUnavailable ? .timedOut : error
        }
        return UnixSocket(socket: descriptor)
    }

    // MARK: The peer

    /// Who made the other end, as the kernel recorded it when the connection was made.
    public struct Peer: Equatable, Sendable {
        public let process: Int32
        public let user: UInt32
        public let group: UInt32
    }

    /// The corresponding C call is `getsockopt(SO_PEERCRED)`.
    public var peer: Peer {
        get throws(Errno) {
            var (process, user, group): (Int32, UInt32, UInt32) = (0, 0, 0)
            let number = descriptor.number
            try nothingOrErrno { unsafe dmabuf_peer_credentials(number, &process, &user, &group) }
            return Peer(process: process, user: user, group: group)
        }
    }

    /// Ends both directions; the peer reads an end.
    ///
    /// The corresponding C function is `shutdown`.
    public borrowing func shutdown() {
        _ = Glibc.shutdown(descriptor.number, CInt(SHUT_RDWR))
    }

    /// Takes nothing more. What has come already can be received, and then an end; the peer's next message is `brokenPipe`
    /// to it.
    ///
    /// The corresponding C function is `shutdown(SHUT_RD)`.
    public borrowing func shutdownReading() {
        _ = Glibc.shutdown(descriptor.number, CInt(SHUT_RD))
    }

    /// For handing to a child process.
    public consuming func intoDescriptor() -> Descriptor { descriptor }

    fileprivate static var type: CInt { CInt(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue) }

    static func newSocket() throws(Errno) -> Descriptor {
        Descriptor(adopting: try valueOrErrno { socket(AF_UNIX, type, 0) })
    }
}

/// Two ends of one connection.
@frozen
public struct SocketPair: ~Copyable, Sendable {
    public var first: UnixSocket
    public var second: UnixSocket
}

func integerOption(_ number: CInt, _ option: CInt) throws(Errno) -> CInt {
    var value: CInt = 0
    var size = socklen_t(MemoryLayout<CInt>.size)
    try nothingOrErrno { unsafe getsockopt(number, SOL_SOCKET, option, &value, &size) }
    return value
}

/// `SO_PASSPIDFD`, Linux 6.5: newer than Debian 12's headers. Older kernels answer an error, which says the same.
private let soPassPIDFD: CInt = 76

func setOption(_ number: CInt, _ option: CInt, _ value: CInt) {
    var value = value
    unsafe setsockopt(number, SOL_SOCKET, option, &value, socklen_t(MemoryLayout<CInt>.size))
}

/// Bounds what waits inside the kernel: `connect` by `SO_SNDTIMEO`, where the listener's queue is full, and a receiving call by
/// `SO_RCVTIMEO`. Messages are sent without waiting in any case.
///
/// The corresponding C call is `setsockopt`.
func setTimeout(_ number: CInt, _ option: CInt, _ nanoseconds: UInt64) throws(Errno) {
    let microseconds = max(nanoseconds / 1000, 1)  // zero would wait for ever
    var timeout = timeval(tv_sec: Int(microseconds / 1_000_000), tv_usec: Int(microseconds % 1_000_000))
    let size = socklen_t(MemoryLayout<timeval>.size)
    try nothingOrErrno { unsafe setsockopt(number, SOL_SOCKET, option, &timeout, size) }
}
