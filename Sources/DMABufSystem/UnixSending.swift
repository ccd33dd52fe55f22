// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

// A message and its descriptors on their way out. The `try…` forms never wait, and allocate nothing while a message has at
// most twenty descriptors: they are for a loop that serves many.

extension UnixSocket {
    /// What became of a message.
    public enum SendOutcome: Sendable {
        case sent
        /// Nothing was sent: the peer has not read enough, or this user has too many descriptors in flight.
        case wouldBlock
    }

    /// Sends `bytes` as one message with duplicates of `descriptors`, which stay the caller's.
    ///
    /// `invalidArgument` for more than ``DescriptorList/limit`` descriptors, `brokenPipe` if the peer is gone,
    /// `timedOut` if it does not read by `deadline`.
    public borrowing func send(
        _ bytes: Span<UInt8>, with descriptors: borrowing DescriptorList, until deadline: Deadline
    ) throws(Errno) {
        try whenThereIsRoom(until: deadline) { () throws(Errno) in try sendNow(bytes, with: descriptors) }
    }

    /// As above, all of an array.
    public borrowing func send(
        _ bytes: [UInt8], with descriptors: borrowing DescriptorList, until deadline: Deadline
    ) throws(Errno) {
        try send(bytes.span, with: descriptors, until: deadline)
    }

    /// As above, with no descriptor.
    public borrowing func send(_ bytes: Span<UInt8>, until deadline: Deadline) throws(Errno) {
        try whenThereIsRoom(until: deadline) { () throws(Errno) in try sendNow(bytes) }
    }

    /// As above, with a duplicate of one descriptor, which stays the caller's.
    public borrowing func send(
        _ bytes: Span<UInt8>, with passed: borrowing Descriptor, until deadline: Deadline
    ) throws(Errno) {
        try whenThereIsRoom(until: deadline) { () throws(Errno) in try sendNow(bytes, with: passed) }
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
            try sendNow(bytes)
            return .sent
        } catch { return try Self.outcome(of: error) }
    }

    /// As above, with a duplicate of one descriptor, which stays the caller's.
    public borrowing func trySend(
        _ bytes: Span<UInt8>, with passed: borrowing Descriptor
    ) throws(Errno) -> SendOutcome {
        do throws(Errno) {
            try sendNow(bytes, with: passed)
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

    private borrowing func sendNow(_ bytes: Span<UInt8>) throws(Errno) {
        try unsafe sendMessage(descriptor.number, bytes, UnsafeMutableRawBufferPointer(start: nil, count: 0))
    }

    /// `ETOOMANYREFS` is thrown: there is room then, and to wait for it would be to spin.
    @inline(__always)
    private borrowing func whenThereIsRoom(
        until deadline: Deadline, _ send: () throws(Errno) -> Void
    ) throws(Errno) {
        while true {
            do throws(Errno) { return try send() } catch {
                guard error == .resourceTemporarilyUnavailable else { throw error }
                if try Poll.wait(descriptor, for: .writable, until: deadline).isEmpty { throw .timedOut }
            }
        }
    }

    private borrowing func sendNow(_ bytes: Span<UInt8>, with passed: borrowing Descriptor) throws(Errno) {
        let (socket, number) = (descriptor.number, passed.number)
        let control = ControlSpace()
        try unsafe control.withDescriptors(1) { _ in
            number
        } _: { (control) throws(Errno) in
            try unsafe sendMessage(socket, bytes, control)
        }
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
