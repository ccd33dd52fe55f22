// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

// A message and its descriptors as they come. The `try…` forms never wait, and allocate nothing while a message has at most
// twenty descriptors: they are for a loop that serves many.

extension UnixSocket {
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
