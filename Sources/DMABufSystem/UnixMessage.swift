// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

// A message and its descriptors, one way and the other. The `try…` forms never wait, and allocate nothing while a
// message has at most twenty descriptors: they are for a loop that serves many.

extension UnixSocket {
    /// What became of a message.
    public enum SendOutcome: Sendable {
        case sent
        /// Nothing was sent: the peer has not read enough, or this user has too many descriptors in flight.
        case wouldBlock
    }

    // MARK: Sending

    /// Sends `bytes` as one message with duplicates of `descriptors`, which stay the caller's.
    ///
    /// `invalidArgument` for more than ``DescriptorList/limit`` descriptors, `brokenPipe` if the peer is gone,
    /// `timedOut` if it does not read by `deadline`.
    public borrowing func send(
        _ bytes: Span<UInt8>, with descriptors: borrowing DescriptorList, until deadline: Deadline
    ) throws(Errno) {
        while true {
            do throws(Errno) {
                return try sendNow(bytes, with: descriptors)
            } catch {
                guard error == .resourceTemporarilyUnavailable else { throw error }
                if try Poll.wait(descriptor, for: .writable, until: deadline).isEmpty { throw .timedOut }
            }
        }
    }

    /// As above, all of an array.
    public borrowing func send(
        _ bytes: [UInt8], with descriptors: borrowing DescriptorList, until deadline: Deadline
    ) throws(Errno) {
        try send(bytes.span, with: descriptors, until: deadline)
    }

    /// As above, with no descriptor.
    public borrowing func send(_ bytes: Span<UInt8>, until deadline: Deadline) throws(Errno) {
        while try trySend(bytes) == .wouldBlock {
            if try Poll.wait(descriptor, for: .writable, until: deadline).isEmpty { throw .timedOut }
        }
    }

    /// As above, and never waits.
    ///
    /// The corresponding C call is `sendmsg(MSG_DONTWAIT | MSG_NOSIGNAL)`; `wouldBlock` stands for `EAGAIN`, and for
    /// `ETOOMANYREFS`: this user's limit of descriptors in flight, which other processes of the same user use up, too.
    public borrowing func trySend(
        _ bytes: Span<UInt8>, with descriptors: borrowing DescriptorList
    ) throws(Errno) -> SendOutcome {
        do throws(Errno) {
            try sendNow(bytes, with: descriptors)
            return .sent
        } catch { return try Self.outcome(of: error) }
    }

    /// As above, with no descriptor.
    public borrowing func trySend(_ bytes: Span<UInt8>) throws(Errno) -> SendOutcome {
        do throws(Errno) {
            try unsafe sendMessage(descriptor.number, bytes, UnsafeMutableRawBufferPointer(start: nil, count: 0))
            return .sent
        } catch { return try Self.outcome(of: error) }
    }

    /// As above, with a duplicate of one descriptor, which stays the caller's.
    public borrowing func trySend(
        _ bytes: Span<UInt8>, with passed: borrowing Descriptor
    ) throws(Errno) -> SendOutcome {
        let (socket, number) = (descriptor.number, passed.number)
        let control = ControlSpace()
        do throws(Errno) {
            try unsafe control.withDescriptors(1) { _ in
                number
            } _: { (control) throws(Errno) in
                try unsafe sendMessage(socket, bytes, control)
            }
            return .sent
        } catch { return try Self.outcome(of: error) }
    }

    /// As above, and once: the queue of a peer that does not read is made longer for a last word, which it finds behind all
    /// that it has left unread.
    ///
    /// The corresponding C call is `setsockopt(SO_SNDBUF)`, which doubles what it is told.
    public borrowing func trySendLast(_ bytes: Span<UInt8>) throws(Errno) -> SendOutcome {
        let outcome = try trySend(bytes)
        guard outcome == .wouldBlock else { return outcome }
        setOption(descriptor.number, SO_SNDBUF, try integerOption(descriptor.number, SO_SNDBUF))
        return try trySend(bytes)
    }

    private static func outcome(of error: Errno) throws(Errno) -> SendOutcome {
        guard error == .resourceTemporarilyUnavailable || error == .tooManyReferences else { throw error }
        return .wouldBlock
    }

    private borrowing func sendNow(
        _ bytes: Span<UInt8>, with descriptors: borrowing DescriptorList
    ) throws(Errno) {
        guard descriptors.count <= DescriptorList.limit else { throw .invalidArgument }
        let socket = descriptor.number
        let control = ControlSpace()
        try unsafe control.withDescriptors(descriptors.count) {
            descriptors.number(at: $0)
        } _: {
            (control) throws(Errno) in
            try unsafe sendMessage(socket, bytes, control)
        }
    }

    /// How much of what was sent the peer has not read yet, counted in bytes of the kernel's memory; zero once it has
    /// read everything. So whoever sends descriptors only at zero has at most one such message in flight.
    ///
    /// The corresponding ioctl is `SIOCOUTQ`.
    public var unreadBytes: Int {
        get throws(Errno) {
            var count: CInt = 0
            let number = descriptor.number
            try nothingOrErrno { unsafe ioctl(number, dmabuf_ioctl_socket_unread, &count) }
            return Int(count)
        }
    }

    // MARK: Receiving

    /// Receives one message into `buffer`, whose length is the most it may have; `timedOut` at `deadline`.
    ///
    /// A message that is longer, or whose descriptors did not all fit into this process (its table is full, or a
    /// security module refused one), is incomplete in a way that nothing else tells: what came is closed and the error
    /// says which. `MSG_PEEK` is never used: on descriptors it has been a source of kernel bugs.
    public borrowing func receive(
        into buffer: inout [UInt8], descriptorsAtMost limit: Int = DescriptorList.limit, until deadline: Deadline
    ) throws(ReceiveError) -> Received {
        while true {
            if let received = try tryReceive(into: &buffer, descriptorsAtMost: limit) { return received }
            do throws(Errno) {
                if try Poll.wait(descriptor, for: .readable, until: deadline).isEmpty { throw .timedOut }
            } catch { throw .system(error) }
        }
    }

    /// As above, in one call where there is time: the kernel waits in it. `patience` is this socket's, for as long as it lives.
    public borrowing func receive(
        into buffer: inout [UInt8], descriptorsAtMost limit: Int, until deadline: Deadline,
        _ patience: inout ReceivePatience
    ) throws(ReceiveError) -> Received {
        if patience.allows(descriptor, until: deadline),
            let received = try receive(into: &buffer, descriptorsAtMost: limit, flags: 0)
        {
            return received
        }
        // Nothing came for a good part of the time, or a signal did, or somebody made this socket one that never waits.
        return try receive(into: &buffer, descriptorsAtMost: limit, until: deadline)
    }

    /// As above, and never waits: nil if nothing is there.
    ///
    /// More descriptors than `atMost` are `truncatedDescriptors`. The kernel lets go of those by itself, before they have
    /// a number here, and without asking their file: so nobody can make us hold or close more than that many.
    ///
    /// The corresponding C call is `recvmsg(MSG_DONTWAIT | MSG_CMSG_CLOEXEC)`.
    public borrowing func tryReceive(
        into buffer: inout [UInt8], descriptorsAtMost limit: Int = DescriptorList.limit
    ) throws(ReceiveError) -> Received? {
        try receive(into: &buffer, descriptorsAtMost: limit, flags: CInt(MSG_DONTWAIT))
    }

    /// As above. What came with an incomplete message and is of no known kind is closed with care and told, as
    /// ``DescriptorList/closeIfStrange()`` does for a whole one.
    public borrowing func tryReceive(
        into buffer: inout [UInt8], descriptorsAtMost limit: Int, strangers: inout DescriptorList.Strangers?
    ) throws(ReceiveError) -> Received? {
        guard
            var found = try receiveAsItIs(
                into: &buffer, descriptorsAtMost: limit, flags: CInt(MSG_DONTWAIT))
        else { return nil }
        if let reason = found.incompleteness {
            strangers = found.received.descriptors.closeIfStrange()
            throw reason
        }
        return found.received
    }

    private borrowing func receive(
        into buffer: inout [UInt8], descriptorsAtMost limit: Int, flags: CInt
    ) throws(ReceiveError) -> Received? {
        guard let found = try receiveAsItIs(into: &buffer, descriptorsAtMost: limit, flags: flags) else { return nil }
        if let reason = found.incompleteness { throw reason }
        return found.received
    }

    @inline(__always)
    private borrowing func receiveAsItIs(
        into buffer: inout [UInt8], descriptorsAtMost limit: Int, flags: CInt
    ) throws(ReceiveError) -> Found? {
        let number = descriptor.number
        let control = ControlSpace()
        var found: CInt = 0
        var count = 0
        // Owned from the moment it is filled: whatever is thrown below, the list closes what came.
        var descriptors = DescriptorList(ofStrangers: ())
        do throws(Errno) {
            var span = buffer.mutableSpan
            count = try unsafe span.withUnsafeMutableBytes { (bytes) throws(Errno) -> Int in
                // Not CMSG_SPACE: in its padding the kernel would fit one more.
                let room = limit == 0 ? 0 : dmabuf_cmsg_length(MemoryLayout<CInt>.size * limit)
                return try unsafe control.withRoom(room) { (control) throws(Errno) -> Int in
                    var part = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                    return try unsafe withUnsafeMutablePointer(to: &part) { (part) throws(Errno) -> Int in
                        var message = unsafe msghdr()
                        unsafe message.msg_iov = part
                        unsafe message.msg_iovlen = 1
                        unsafe message.msg_control = control.baseAddress
                        unsafe message.msg_controllen = control.count
                        let count = try valueOrErrno(retryOnInterrupt: false) {
                            unsafe recvmsg(number, &message, CInt(MSG_CMSG_CLOEXEC) | flags)
                        }
                        unsafe take(&descriptors, from: &message)
                        found = unsafe message.msg_flags
                        return count
                    }
                }
            }
        } catch {
            if error == .resourceTemporarilyUnavailable || error == .interrupted { return nil }
            throw .system(error)
        }
        return Found(received: Received(byteCount: count, descriptors: descriptors), flags: found)
    }

    private struct Found: ~Copyable {
        var received: Received
        let flags: CInt

        var incompleteness: ReceiveError? {
            if flags & CInt(MSG_CTRUNC) != 0 { return .truncatedDescriptors }
            if flags & CInt(MSG_TRUNC) != 0 { return .truncatedBytes }
            return received.byteCount == 0 ? .closed : nil
        }
    }
}

/// One received message; its bytes are in the caller's buffer.
@frozen
public struct Received: ~Copyable, Sendable {
    public let byteCount: Int
    public var descriptors: DescriptorList
}

/// Why nothing could be received. All but `timedOut` mean that the connection should end.
public enum ReceiveError: Error, Equatable, Sendable {
    /// The peer closed, or sent an empty message.
    case closed
    case truncatedBytes
    case truncatedDescriptors
    case system(Errno)
}

/// Room on the stack for the control data of a message, as much as it needs.
private struct ControlSpace: ~Copyable {
    func withRoom<Result>(
        _ size: Int, _ body: (UnsafeMutableRawBufferPointer) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        try unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: MemoryLayout<cmsghdr>.alignment, body)
    }

    /// Lends control data that passes `count` descriptors; none at all for none.
    func withDescriptors(
        _ count: Int, _ number: (Int) -> CInt, _ body: (UnsafeMutableRawBufferPointer) throws(Errno) -> Void
    ) throws(Errno) {
        let size = count == 0 ? 0 : dmabuf_cmsg_space(MemoryLayout<CInt>.size * count)
        try unsafe withRoom(size) { (space) throws(Errno) in
            if count > 0 {
                var message = unsafe msghdr()
                unsafe message.msg_control = space.baseAddress
                unsafe message.msg_controllen = space.count
                let header = unsafe dmabuf_cmsg_first(&message)!
                unsafe header.pointee.cmsg_level = SOL_SOCKET
                unsafe header.pointee.cmsg_type = CInt(SCM_RIGHTS)
                unsafe header.pointee.cmsg_len = dmabuf_cmsg_length(MemoryLayout<CInt>.size * count)
                let data = unsafe dmabuf_cmsg_data(header)!
                for index in 0..<count {
                    unsafe data.storeBytes(
                        of: number(index), toByteOffset: index * MemoryLayout<CInt>.size, as: CInt.self)
                }
            }
            try unsafe body(space)
        }
    }
}

private func sendMessage(
    _ socket: CInt, _ bytes: Span<UInt8>, _ control: UnsafeMutableRawBufferPointer
) throws(Errno) {
    try unsafe bytes.withUnsafeBytes { (buffer) throws(Errno) in
        var part = unsafe iovec(iov_base: UnsafeMutableRawPointer(mutating: buffer.baseAddress), iov_len: buffer.count)
        try unsafe withUnsafeMutablePointer(to: &part) { (part) throws(Errno) in
            var message = unsafe msghdr()
            unsafe message.msg_iov = part
            unsafe message.msg_iovlen = 1
            unsafe message.msg_control = control.count == 0 ? nil : control.baseAddress
            unsafe message.msg_controllen = control.count
            try nothingOrErrno { unsafe sendmsg(socket, &message, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT)) }
        }
    }
}

/// Takes every descriptor out of the control data; the kernel may send more than one block.
private func take(_ descriptors: inout DescriptorList, from message: inout msghdr) {
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
}
