// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// What an event of the poller is about: the kind in the upper byte, a number below it. Numbers count up and are never
/// given twice, so an event that was fetched before its subject went away meets nobody.
enum EventToken: Equatable {
    /// Somebody comes in.
    case entrance
    case signals
    case client(ClientNumber)
    /// The process behind a client.
    case process(ClientNumber)
    case fence(FenceID)
    /// The worker has put a fence into a reservation.
    case imported
    /// A worker has something to say.
    case worker(UInt64)
    /// Its process has ended.
    case workerEnded(UInt64)
    /// The vault has something to say, or has ended.
    case vault

    private static let numberMask: UInt64 = (1 << 56) - 1

    init?(rawValue: UInt64) {
        let number = rawValue & Self.numberMask
        switch rawValue >> 56 {
        case 0: self = .entrance
        case 1: self = .signals
        case 2: self = .client(ClientNumber(number))
        case 3: self = .process(ClientNumber(number))
        case 4: self = .fence(FenceID(number))
        case 5: self = .imported
        case 6: self = .worker(number)
        case 7: self = .vault
        case 8: self = .workerEnded(number)
        default: return nil
        }
    }

    var rawValue: UInt64 {
        switch self {
        case .entrance: 0
        case .signals: 1 << 56
        case .client(let number): 2 << 56 | number.rawValue
        case .process(let number): 3 << 56 | number.rawValue
        case .imported: 5 << 56
        case .worker(let number): 6 << 56 | number
        case .vault: 7 << 56
        case .workerEnded(let number): 8 << 56 | number
        case .fence(let id): 4 << 56 | id.rawValue & Self.numberMask
        }
    }
}

/// A connection, from its first moment; a ``ClientID`` it has only once it has joined. The lower bits say where it is in
/// the ``ClientTable``; the upper 36 count up, so that an event meets nobody who came after its subject.
struct ClientNumber: Hashable, Sendable {
    let rawValue: UInt64
    init(_ rawValue: UInt64) { self.rawValue = rawValue }

    private static let slotBits: UInt64 = 20

    init(_ count: UInt64, slot: Int) {
        precondition(slot < 1 << Self.slotBits, "more connections than there can be descriptors")
        rawValue = (count & (1 << 36 - 1)) << Self.slotBits | UInt64(slot)
    }

    var slot: Int { Int(rawValue & (1 << Self.slotBits - 1)) }
}
