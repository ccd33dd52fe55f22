// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufSystem
import SystemPackage

/// What a client's queue has no room for yet, in order.
struct Outbox {
    struct Entry {
        let bytes: [UInt8]
        let descriptors: [DMABuffer]
        let isNotice: Bool
    }

    private var waiting: [Entry] = []
    private var sent = 0

    var isEmpty: Bool { waiting.isEmpty }
    var count: Int { waiting.count - sent }
    var first: Entry? { isEmpty ? nil : waiting[sent] }

    enum Outcome {
        case sent
        /// The client has to read first.
        case kept
        /// This daemon's user has too many descriptors in flight: others of its processes have to be read from first.
        case starved
        case gone
    }

    mutating func append(_ bytes: Span<UInt8>, _ descriptors: [DMABuffer], isNotice: Bool) {
        waiting.append(Entry(bytes: Array(copying: bytes), descriptors: descriptors, isNotice: isNotice))
    }

    mutating func removeFirst() {
        sent += 1
        if sent == waiting.count {
            waiting.removeAll(keepingCapacity: sent <= 16)
            sent = 0
        } else if sent * 2 > waiting.count, sent >= 16 {
            // A client that always leaves one unread must not make us keep all that it has read.
            waiting.removeFirst(sent)
            sent = 0
        }
    }
}

// Rule: *at most one unread message with descriptors per client.* The kernel counts descriptors in flight per uid: one
// slow reader could keep all others of its uid from being sent any.

extension ClientConnection {
    /// Sends now if it can, and keeps what it cannot.
    func send(_ bytes: Span<UInt8>, _ descriptors: [DMABuffer], isNotice: Bool) -> Outbox.Outcome {
        let outcome = outbox.isEmpty ? trySend(bytes, descriptors) : .kept
        if outcome == .sent || outcome == .gone { return outcome }
        outbox.append(bytes, descriptors, isNotice: isNotice)
        return outcome
    }

    /// Sends what has waited; how many notices were among it, and whether anything is left.
    func flush() -> (notices: UInt32, outcome: Outbox.Outcome) {
        var notices: UInt32 = 0
        while let next = outbox.first {
            let outcome = trySend(next.bytes.span, next.descriptors)
            guard outcome == .sent else { return (notices, outcome) }
            if next.isNotice { notices += 1 }
            outbox.removeFirst()
        }
        return (notices, .sent)
    }

    private func trySend(_ bytes: Span<UInt8>, _ descriptors: [DMABuffer]) -> Outbox.Outcome {
        do throws(Errno) {
            let outcome: UnixSocket.SendOutcome
            if descriptors.isEmpty {
                outcome = try socket.trySend(bytes)
            } else {
                if mayHaveUnread, try hasUnread { return .kept }
                outcome = try pass(bytes, descriptors)
                if outcome == .wouldBlock, try !hasUnread { return .starved }
                mayHaveUnread = true
            }
            return outcome == .sent ? .sent : .kept
        } catch { return .gone }
    }

    /// The kernel wakes us a moment before the last byte of what was read is counted back, and does not wake us again: a
    /// count below any message's own is none.
    private var hasUnread: Bool {
        get throws(Errno) { try socket.unreadBytes > 128 }
    }

    private func pass(_ bytes: Span<UInt8>, _ descriptors: [DMABuffer]) throws(Errno) -> UnixSocket.SendOutcome {
        if descriptors.count == 1 { return try socket.trySend(bytes, with: descriptors[0].descriptor) }
        return try socket.trySend(bytes, with: DescriptorList(lending: descriptors))
    }
}

extension [UInt8] {
    fileprivate init(copying bytes: Span<UInt8>) {
        self = []
        reserveCapacity(bytes.count)
        for index in bytes.indices { append(bytes[index]) }
    }
}
