// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage

// Rule: a client goes on with the registry that takes another's place.
//
// A registry that dies says nothing; but its end is seen in the page that it published. Its client looks for the next one at the same socket, shows the secret that it was
// given, and is who it was: it owns what it owned and is attached to what it was attached to. Attachments that have words
// in a control page are mapped again, and accesses that are under way are begun again before that, so that no move can
// pass them. Fences that were promised and have not ended are promised again. Who was told of a move hears what became of
// it: that it was committed, or is off. See UnderWay.swift. Locks, and slots that were reserved, are gone.
//
// While the others who were attached come back (*settling*), what would conflict with them is asked again until the deadline.
//
// A request that had not been sent is sent then. One that had been sent and was not answered may have been decided: it is
// asked again if that does no harm, and else throws ``RegistryError/restarted``. One that leaves in good order answers all
// that was sent; then, or if it does not know the secret, the connection ends as ever.

extension RegistryConnection {
    static let pause: Duration = .milliseconds(20)

    /// Whether the next registry has been found, and knows this client.
    mutating func resume(until deadline: Deadline) throws(RegistryError) -> Bool {
        guard let path, patience > .zero else { return false }
        let end = min(deadline, .after(patience))
        // Of the last registry that this client was whole with: one that died in between knew nothing yet.
        var carried: [ClientPages.Under]?
        let underWay = underWay
        while true {
            var hasJoined = false
            do throws(RegistryError) {
                var next = try Joining(path, features, joined.secret, until: end)
                guard next.joined.client == joined.client else { return false }
                let pages = try next.takePages()
                let held = take(next, pages)
                let before = carried ?? held
                carried = before
                hasJoined = true
                let soon = UnderWay.isTold(by: end, answersWithin, patience)
                let said = try goOn(without: Set(before.map(\.attachment)), until: soon)
                try mapAgain(before, until: soon)
                notices.removeAll { underWay.isOver($0) }
                notices += said
                return true
            } catch {
                // What a registry was told that has gone as well is told the next one from the beginning.
                self.underWay = underWay
                if hasJoined, case .connection(.deadline) = error {
                    // A registry that knows half of it would let others take the rest.
                    throw .connection(connection.end(.deadline, .deadline))
                }
                guard error.isOfAnEnd, !end.hasPassed else { return false }
                Clock.sleep(Self.pause)
            }
        }
    }

    private mutating func goOn(
        without words: Set<AttachmentID>, until deadline: Deadline
    ) throws(RegistryError) -> [Notice] {
        // What is asked here is noted already.
        var underWay = underWay
        let said = try underWay.goOn(without: words) { (request, fence) throws(RegistryError) in
            let passed = fence.map { DescriptorList(lending: $0) } ?? DescriptorList()
            return try exchangeOnce(.request(request), passed, until: deadline).envelope.message
        }
        self.underWay = underWay
        return said
    }

    /// What had words has words again, and what is under way is known to the registry before that.
    private mutating func mapAgain(_ before: [ClientPages.Under], until deadline: Deadline) throws(RegistryError) {
        for held in before {
            do throws(RegistryError) {
                if held.count > 0 {
                    try askOnce(.beginAccess(held.attachment, held.generation, held.access), until: deadline)
                }
                let reply = try exchangeOnce(.request(.map(held.attachment)), DescriptorList(), until: deadline)
                if case .granted(let grant) = reply.envelope.message, let word = grant.word,
                    pages?.hold(grant, word, for: held.access) == true
                {
                    pages?.goOn(held)
                }
                // It is counted there, or is over: what stands for it meanwhile ends.
                if held.count > 0 { try askOnce(.endAccess(held.attachment), until: deadline) }
            } catch {
                // Revoked, or ended meanwhile: it has no word, and the next use of it learns why.
                if case .ruledOut = error { continue }
                throw error
            }
        }
    }

    private mutating func askOnce(_ request: Request, until deadline: Deadline) throws(RegistryError) {
        _ = try exchangeOnce(.request(request), DescriptorList(), until: deadline)
    }
}

extension RegistryError {
    /// The registry is gone, or not there yet.
    var isOfAnEnd: Bool {
        switch self {
        case .noRegistry, .connection(.closed), .connection(.deadline): true
        // So many have come back at once that not all have been heard; or that one goes, too.
        case .connection(.farewell(let farewell)): [.full, .deadline, .leaving].contains(farewell.reason)
        default: false
        }
    }

    /// The registry was restarted in the middle, or not everyone has come back yet: what was not done is to be done again.
    var isOfRestart: Bool {
        switch self {
        case .restarted, .ruledOut(.settling): true
        default: false
        }
    }
}

extension Message {
    /// Whether asking twice comes to the same as asking once, but for an attachment too many.
    var mayBeAskedAgain: Bool {
        switch self {
        case .stats: true
        case .request(let request):
            switch request {
            case .lookup, .inspect, .list, .attach, .attachNamed, .map, .snapshot, .wait, .share, .beginAccess: true
            case .pin, .unpin, .renewFence: true
            // The access was begun anew there, once.
            case .endAccess: true
            // One that was granted has ended with the registry that granted it.
            case .lock: true
            default: false
            }
        default: false
        }
    }
}
