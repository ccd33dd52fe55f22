// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufPolicy
import DMABufSystem
import DMABufWire
import Logging
import SystemPackage

extension RegistryServer {
    /// So many at a time, so that who is here already is served in between.
    private static let acceptedAtOnce = 64

    /// False when nobody can come in any more.
    mutating func acceptAll() -> Bool {
        for _ in 0..<Self.acceptedAtOnce {
            do throws(Errno) {
                Failpoint.reach(.before, .connect)
                guard let socket = try entrance.next() else { return true }
                accept(socket)
                Failpoint.reach(.after, .connect)
            } catch {
                if error == .brokenPipe { return false }
                note(.warning, "a connection was turned away", ["error": "\(error)"])
                guard entrance.turnAway(with: &spare) else {
                    restEntrance()
                    return true
                }
            }
        }
        return true
    }

    /// It would be told as readable at once and again: it is looked at after a while, or when a connection has ended.
    private mutating func restEntrance() {
        guard (try? entrance.ignore(by: poller)) != nil else { return }
        nextAccept = now + .milliseconds(10)
    }

    mutating func watchEntrance() {
        guard nextAccept != nil, !isDraining else { return }
        do throws(Errno) {
            try entrance.watch(by: poller)
            nextAccept = nil
        } catch { nextAccept = now + .milliseconds(10) }
    }

    private mutating func accept(_ socket: consuming UnixSocket) {
        do throws(Errno) {
            let identity = try PeerIdentity(of: socket)
            let user = identity.user
            counters.connections += 1
            guard greetings.hasRoom(for: user), budget.connections.hasRoom(for: user) else {
                return turnAway(socket, "too many connections")
            }
            guard strangeFiles.serves(user) else {
                return turnAway(socket, "too many files of this user's are of no known kind")
            }
            let client = clients.add(socket, identity)
            greetings.add(client.number, of: user, at: now)
            budget.connections.take(for: user)
            watch(client)
        } catch {
            // It has ended already: nobody has been promised anything.
            log.debug("a connection was not taken", metadata: ["error": "\(error)"])
        }
    }

    private mutating func watch(_ client: ClientConnection) {
        do throws(Errno) {
            try poller.add(client.socket.descriptor, token: EventToken.client(client.number).rawValue)
            try poller.add(client.identity.pidfd.descriptor, token: EventToken.process(client.number).rawValue)
            say(.hello(Hello(features: [.registry, .pages])), 1, to: client)
        } catch { part(client, .full, "no room to watch it") }
    }

    /// Before anything is kept of it: so this costs little, however often it is done.
    private mutating func turnAway(_ socket: borrowing UnixSocket, _ text: String) {
        let count = Message.farewell(Farewell(.full, text)).encode(1, into: &outgoing)
        _ = try? socket.trySend(outgoing.span.extracting(first: count))
    }

    /// Those whose time to say hello and join is over.
    mutating func dropSilent() {
        while let number = greetings.popDue(at: now) {
            guard let client = clients[number], client.id == nil else { continue }
            part(client, .deadline, "no hello and join within a second")
        }
    }

    /// A client's first request.
    mutating func join(_ client: ClientConnection, _ join: Join, _ serial: UInt64) {
        let identity = client.known
        guard let bits = try? SecureRandom.bits128() else { return part(client, .full, "no random numbers") }
        var secret = Secret(high: bits.0, low: bits.1)
        let id: ClientID
        effects.removeAll()
        do throws(Refusal) {
            try policy.checkConnect(identity, ownUser: OwnProcess.userID)
            if let known = comeBack(identity, join) {
                // It keeps its secret: a new one could be in the journal, and this process killed before the client has it.
                (id, secret) = known
            } else {
                id = try registry.connect(identity, at: now, into: &effects)
            }
            Failpoint.reach(.during, .hello)
            registry.impose(policy.conditions(for: identity), on: id)
        } catch {
            part(client, error.reasonToPart, error.farewell)
            // What had come to its time by then is no less to be done.
            return carryOutAll()
        }
        clients.join(client, as: id)
        greetings.remove(of: identity.uid)
        secrets[id] = tokens.hash(secret)
        let joined = Joined(client: id, secret: secret, run: run)
        log.debug(
            "joined", metadata: ["client": "\(id.rawValue)", "uid": "\(identity.uid)", "pid": "\(identity.pid)"])
        survive()
        welcome(client, joined, serial)
        carryOutAll()
        Failpoint.reach(.after, .hello)
    }

    /// Who was here before the restart and has its secret goes on as who it was, once in each run.
    private mutating func comeBack(_ identity: Identity, _ join: Join) -> (ClientID, Secret)? {
        guard let secret = join.secret else { return nil }
        let hash = tokens.hash(secret)
        guard let id = absent[hash],
            registry.comeBack(id, as: identity, at: now, into: &effects)
        else { return nil }
        absent[hash] = nil
        return (id, secret)
    }
}
