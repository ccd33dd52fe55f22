// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire

/// One client: its socket, who it is, how far it has come, and what it has not been able to read yet.
final class ClientConnection {
    enum Stage: Equatable {
        /// Its hello is awaited.
        case greeting
        /// It has said hello; its join is awaited.
        case joining
        case joined(ClientID)
    }

    let number: ClientNumber
    let socket: UnixSocket
    let identity: PeerIdentity
    /// The same as the rules and the policy know it.
    let known: Identity
    var stage = Stage.greeting
    var outbox = Outbox()
    /// A message with descriptors was sent, and may not have been read.
    var mayHaveUnread = false
    /// It named the feature.
    var wantsPages = false
    /// The page that it writes; nil: its accesses come as messages.
    var own: OwnWords?
    /// Nothing is read from a client that does not read: the edges of its reading are watched instead.
    var isWaiting = false
    /// The way in is shut, and all that had come has been taken.
    var isHeardOut = false
    /// It is gone, or about to be: nothing is said to it any more.
    var isClosed = false

    init(_ number: ClientNumber, _ socket: consuming UnixSocket, _ identity: consuming PeerIdentity) {
        self.number = number
        self.socket = socket
        known = Identity(uid: identity.user, gids: identity.groups + [identity.group], pid: identity.process)
        self.identity = identity
    }

    var id: ClientID? { if case .joined(let id) = stage { id } else { nil } }
}

/// All connections, by the number of their events and by the number that the rules know.
struct ClientTable {
    /// A number says where its connection is, and which of those that were there: so finding one is no search.
    private var slots: [ClientConnection?] = []
    private var free: [Int] = []
    private var joined: [ClientID: ClientConnection] = [:]
    private var last: UInt64 = 0

    var count: Int { slots.count - free.count }
    var all: [ClientConnection] { slots.compactMap { $0 } }

    func contains(where isMeant: (ClientConnection) -> Bool) -> Bool {
        slots.contains { slot in slot.map(isMeant) == true }
    }

    subscript(number: ClientNumber) -> ClientConnection? {
        guard number.slot < slots.count, let client = slots[number.slot], client.number == number else { return nil }
        return client
    }

    subscript(id: ClientID) -> ClientConnection? { joined[id] }

    mutating func add(_ socket: consuming UnixSocket, _ identity: consuming PeerIdentity) -> ClientConnection {
        last += 1
        let slot = free.popLast() ?? slots.count
        if slot == slots.count { slots.append(nil) }
        let client = ClientConnection(ClientNumber(last, slot: slot), socket, identity)
        slots[slot] = client
        return client
    }

    mutating func join(_ client: ClientConnection, as id: ClientID) {
        client.stage = .joined(id)
        joined[id] = client
    }

    mutating func remove(_ client: ClientConnection) {
        slots[client.number.slot] = nil
        free.append(client.number.slot)
        if let id = client.id { joined[id] = nil }
    }
}
