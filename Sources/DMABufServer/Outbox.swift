// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufSystem
import SystemPackage

/// What a client is sent, in order. A message that the client's queue has no room for waits here.
///
/// Rule: *at most one unread message with descriptors per client.* The kernel counts descriptors in flight per uid: one
/// slow reader could keep all others of its uid from being sent any.
struct Outbox {
    private struct Entry {
        var bytes: [UInt8]
        var descriptors: [DMABuffer]
        var isNotice: Bool
    }

    private var waiting: [Entry] = []
    private var sent = 0
    /// A message with descriptors was sent, and may not have been read.
    private var mayHaveUnread = false

    var isEmpty: Bool { waiting.isEmpty }
    var count: Int { waiting.count - sent }

    enum Outcome {
        case sent
        /// The client has to read first.
        case kept
        /// This daemon's user has too many descriptors in flight: others of its processes have to be read from first.
        case starved
        case gone
    }

    /// A message with descriptors went past it, while it was empty.
    mutating func hasSentDescriptors() { mayHaveUnread = true }

    /// Sends now if it can, and keeps what it cannot.
    mutating func send(
        _ bytes: Span<UInt8>, _ descriptors: [DMABuffer], isNotice: Bool, to socket: borrowing UnixSocket
    ) -> Outcome {
        let outcome = waiting.isEmpty ? trySend(bytes, descriptors, socket) : .kept
        if outcome == .sent || outcome == .gone { return outcome }
        waiting.append(Entry(bytes: Array(copying: bytes), descriptors: descriptors, isNotice: isNotice))
        return outcome
    }

    /// Sends what has waited; how many notices were among it, and whether anything is left.
    mutating func flush(to socket: borrowing UnixSocket) -> (notices: UInt32, outcome: Outcome) {
        var notices: UInt32 = 0
        while sent < waiting.count {
            let next = waiting[sent]
            let outcome = trySend(next.bytes.span, next.descriptors, socket)
            guard outcome == .sent else { return (notices, outcome) }
            if next.isNotice { notices += 1 }
            sent += 1
            // A client that always leaves one unread must not make us keep all that it has read.
            if sent * 2 > waiting.count, sent >= 16 {
                waiting.removeFirst(sent)
                sent = 0
            }
        }
        waiting.removeAll(keepingCapacity: sent <= 16)
        sent = 0
        return (notices, .sent)
    }

    private mutating func trySend(
        _ bytes: Span<UInt8>, _ descriptors: [DMABuffer], _ socket: borrowing UnixSocket
    ) -> Outcome {
        do throws(Errno) {
            let outcome: UnixSocket.SendOutcome
            if descriptors.isEmpty {
                outcome = try socket.trySend(bytes)
            } else {
                if mayHaveUnread, try hasUnread(socket) { return .kept }
                outcome = try Self.pass(bytes, descriptors, socket)
                if outcome == .wouldBlock, try !hasUnread(socket) { return .starved }
                mayHaveUnread = true
            }
            return outcome == .sent ? .sent : .kept
        } catch { return .gone }
    }

    /// The kernel wakes us a moment before the last byte of what was read is counted back, and does not wake us again: a
    /// count below any message's own is none.
    private func hasUnread(_ socket: borrowing UnixSocket) throws(Errno) -> Bool { try socket.unreadBytes > 128 }

    private static func pass(
        _ bytes: Span<UInt8>, _ descriptors: [DMABuffer], _ socket: borrowing UnixSocket
    ) throws(Errno) -> UnixSocket.SendOutcome {
        if descriptors.count == 1 { return try socket.trySend(bytes, with: descriptors[0].descriptor) }
        var list = DescriptorList()
        for memory in descriptors { list.append(try memory.descriptor.duplicate()) }
        return try socket.trySend(bytes, with: list)
    }
}

extension [UInt8] {
    fileprivate init(copying bytes: Span<UInt8>) {
        self = []
        reserveCapacity(bytes.count)
        for index in bytes.indices { append(bytes[index]) }
    }
}
