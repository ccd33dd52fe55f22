// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// A `SOCK_SEQPACKET` unix socket: one message is one datagram, and its descriptors come with it or not at all.
///
/// | Swift             | C function                            |
/// |-------------------|---------------------------------------|
/// | `pair`            | `socketpair`                          |
/// | `connect`         | `socket`, `connect`                   |
/// | `send`            | `sendmsg` with `SCM_RIGHTS`           |
/// | `receive`         | `recvmsg` with `MSG_CMSG_CLOEXEC`     |
/// | `peer`            | `getsockopt(SO_PEERCRED)`             |
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
        // Options of a former owner would bring more than SCM_RIGHTS, and take the room of descriptors.
        for option in [SO_PASSCRED, soPassPIDFD] { setOption(number, option, 0) }
        self.descriptor = descriptor
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
        try setSendTimeout(number, deadline.remaining)
        do throws(Errno) {
            try unsafe withUnixAddress(path) { address, length in unsafe Glibc.connect(number, address, length) }
        } catch {
            throw error == .resourceTemporarilyUnavailable ? .timedOut : error
        }
        return UnixSocket(socket: descriptor)
    }

    // MARK: Messages

    /// Sends `bytes` as one message with duplicates of `descriptors`, which stay the caller's.
    ///
    /// `invalidArgument` for more than ``DescriptorList/limit`` descriptors, `brokenPipe` if the peer is gone,
    /// `timedOut` if it does not read by `deadline`.
    public borrowing func send(
        _ bytes: borrowing [UInt8], with descriptors: borrowing DescriptorList, until deadline: Deadline
    ) throws(Errno) {
        guard descriptors.count <= DescriptorList.limit else { throw .invalidArgument }
        while true {
            do throws(Errno) {
                return try sendNow(bytes, with: descriptors)
            } catch {
                guard error == .resourceTemporarilyUnavailable else { throw error }
                if try Poll.wait(descriptor, for: .writable, until: deadline).isEmpty { throw .timedOut }
            }
        }
    }

    private borrowing func sendNow(
        _ bytes: borrowing [UInt8], with descriptors: borrowing DescriptorList
    ) throws(Errno) {
        let number = descriptor.number
        let payload = MemoryLayout<CInt>.size * descriptors.count
        let controlSize = descriptors.isEmpty ? 0 : dmabuf_cmsg_space(payload)
        try unsafe withUnsafeTemporaryAllocation(byteCount: max(controlSize, 1), alignment: 8) {
            (control) throws(Errno) in
            var message = unsafe msghdr()
            if controlSize > 0 {
                unsafe control.initializeMemory(as: UInt8.self, repeating: 0)
                unsafe message.msg_control = control.baseAddress
                unsafe message.msg_controllen = controlSize
                let header = unsafe dmabuf_cmsg_first(&message)!
                unsafe header.pointee.cmsg_level = SOL_SOCKET
                unsafe header.pointee.cmsg_type = CInt(SCM_RIGHTS)
                unsafe header.pointee.cmsg_len = dmabuf_cmsg_length(payload)
                let data = unsafe dmabuf_cmsg_data(header)!
                for index in 0..<descriptors.count {
                    unsafe data.storeBytes(
                        of: descriptors.number(at: index), toByteOffset: index * MemoryLayout<CInt>.size,
                        as: CInt.self)
                }
            }
            try unsafe bytes.span.withUnsafeBytes { (buffer) throws(Errno) in
                var part = unsafe iovec(
                    iov_base: UnsafeMutableRawPointer(mutating: buffer.baseAddress), iov_len: buffer.count)
                try unsafe withUnsafeMutablePointer(to: &part) { (part) throws(Errno) in
                    unsafe message.msg_iov = part
                    unsafe message.msg_iovlen = 1
                    try nothingOrErrno { unsafe sendmsg(number, &message, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT)) }
                }
            }
        }
    }

    /// Receives one message into `buffer`, whose length is the most it may have.
    ///
    /// A message that is longer, or whose descriptors did not all fit into this process (its table is full, or a
    /// security module refused one), is incomplete in a way that nothing else tells: what came is closed and the error
    /// says which. `MSG_PEEK` is never used: on descriptors it has been a source of kernel bugs.
    public borrowing func receive(
        into buffer: inout [UInt8], until deadline: Deadline
    ) throws(ReceiveError) -> Received {
        while true {
            do {
                return try receiveNow(into: &buffer)
            } catch ReceiveError.system(.resourceTemporarilyUnavailable) {
                do {
                    if try Poll.wait(descriptor, for: .readable, until: deadline).isEmpty {
                        throw ReceiveError.system(.timedOut)
                    }
                } catch let error as Errno {
                    throw .system(error)
                } catch let error as ReceiveError {
                    throw error
                } catch { preconditionFailure("\(error)") }
            }
        }
    }

    private borrowing func receiveNow(into buffer: inout [UInt8]) throws(ReceiveError) -> Received {
        let number = descriptor.number
        let controlSize = dmabuf_cmsg_space(MemoryLayout<CInt>.size * DescriptorList.limit)
        return try unsafe withUnsafeTemporaryAllocation(byteCount: controlSize, alignment: 8) {
            (control) throws(ReceiveError) in
            var message = unsafe msghdr()
            unsafe message.msg_control = control.baseAddress
            unsafe message.msg_controllen = control.count
            var count = 0
            do throws(Errno) {
                var span = buffer.mutableSpan
                count = try unsafe span.withUnsafeMutableBytes { (bytes) throws(Errno) -> Int in
                    var part = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                    return try unsafe withUnsafeMutablePointer(to: &part) { (part) throws(Errno) -> Int in
                        unsafe message.msg_iov = part
                        unsafe message.msg_iovlen = 1
                        return try valueOrErrno {
                            unsafe recvmsg(number, &message, CInt(MSG_CMSG_CLOEXEC) | CInt(MSG_DONTWAIT))
                        }
                    }
                }
            } catch { throw .system(error) }
            // Owned from here on: whatever is thrown below, the list closes what came.
            let descriptors = unsafe takeDescriptors(&message)
            if unsafe message.msg_flags & CInt(MSG_CTRUNC) != 0 { throw .truncatedDescriptors }
            if unsafe message.msg_flags & CInt(MSG_TRUNC) != 0 { throw .truncatedBytes }
            if count == 0 { throw .closed }
            return Received(byteCount: count, descriptors: descriptors)
        }
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

    /// For handing to a child process.
    public consuming func intoDescriptor() -> Descriptor { descriptor }

    fileprivate static var type: CInt { CInt(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue) }

    static func newSocket() throws(Errno) -> Descriptor {
        Descriptor(adopting: try valueOrErrno { socket(AF_UNIX, type, 0) })
    }
}

/// One received message; its bytes are in the caller's buffer.
@frozen
public struct Received: ~Copyable, Sendable {
    public let byteCount: Int
    public var descriptors: DescriptorList
}

/// Two ends of one connection.
@frozen
public struct SocketPair: ~Copyable, Sendable {
    public var first: UnixSocket
    public var second: UnixSocket
}

/// Why nothing could be received. All but `timedOut` mean that the connection should end.
public enum ReceiveError: Error, Equatable, Sendable {
    /// The peer closed, or sent an empty message.
    case closed
    case truncatedBytes
    case truncatedDescriptors
    case system(Errno)
}

private func integerOption(_ number: CInt, _ option: CInt) throws(Errno) -> CInt {
    var value: CInt = 0
    var size = socklen_t(MemoryLayout<CInt>.size)
    try nothingOrErrno { unsafe getsockopt(number, SOL_SOCKET, option, &value, &size) }
    return value
}

/// `SO_PASSPIDFD`, Linux 6.5: newer than Debian 12's headers. Older kernels answer an error, which says the same.
private let soPassPIDFD: CInt = 76

private func setOption(_ number: CInt, _ option: CInt, _ value: CInt) {
    var value = value
    unsafe setsockopt(number, SOL_SOCKET, option, &value, socklen_t(MemoryLayout<CInt>.size))
}

/// Bounds `connect`, which waits where the listener's queue is full; messages are sent without waiting in any case.
///
/// The corresponding C call is `setsockopt(SO_SNDTIMEO)`.
private func setSendTimeout(_ number: CInt, _ duration: Duration) throws(Errno) {
    let microseconds = max(duration.clampedNanoseconds / 1000, 1)  // zero would wait for ever
    var timeout = timeval(tv_sec: Int(microseconds / 1_000_000), tv_usec: Int(microseconds % 1_000_000))
    let size = socklen_t(MemoryLayout<timeval>.size)
    try nothingOrErrno { unsafe setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &timeout, size) }
}

/// Takes every descriptor out of the control data; the kernel may send more than one block.
private func takeDescriptors(_ message: inout msghdr) -> DescriptorList {
    var descriptors = DescriptorList(ofStrangers: ())
    var header = unsafe dmabuf_cmsg_first(&message)
    while let current = unsafe header {
        if unsafe current.pointee.cmsg_level == SOL_SOCKET, unsafe current.pointee.cmsg_type == CInt(SCM_RIGHTS) {
            let bytes = unsafe Int(current.pointee.cmsg_len) - dmabuf_cmsg_length(0)
            let data = unsafe dmabuf_cmsg_data(current)!
            for offset in stride(from: 0, to: bytes - 3, by: MemoryLayout<CInt>.size) {
                descriptors.append(adopting: unsafe data.load(fromByteOffset: offset, as: CInt.self))
            }
        }
        unsafe header = dmabuf_cmsg_next(&message, current)
    }
    return descriptors
}
