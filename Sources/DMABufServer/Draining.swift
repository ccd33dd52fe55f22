// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage

// Rule: what was received is answered, and what was not is not acted upon.
//
// A registry that leaves, for good or for another's sake, shuts the way in first: from then on a client's send fails, and
// it knows that nothing came of it. What has come already is decided and answered, and only then does the connection end.
// Who does not read its answers is not waited for long; nor is what waits for others, such as a lock.

extension RegistryServer {
    /// Where nothing is left to hear.
    private static let longestDrain: Duration = .milliseconds(500)
    /// However much there is: all clients look for the next registry meanwhile, and not for ever.
    private static let lastDrain: Duration = .seconds(2)
    /// Where nothing goes on.
    private static let drainPatience: Duration = .milliseconds(100)

    mutating func drain() throws(Errno) {
        isDraining = true
        try? entrance.ignore(by: poller)
        for client in clients.all {
            client.socket.shutdownReading()
            // The edge may be among the events that are not looked at any more.
            if client.isWaiting { flush(client) }
        }
        let (end, last) = (Deadline.after(Self.longestDrain), Deadline.after(Self.lastDrain))
        var events = PollerEvents()
        var quiet = Deadline.after(Self.drainPatience)
        while owesAnswers, !last.hasPassed {
            let turn = nextTry.map { Deadline(nanoseconds: $0.nanoseconds) } ?? end
            try poller.wait(into: &events, until: min(end, quiet, turn))
            // Nothing may be there because the clock that bounds waits has ticked.
            if events.count > 0 {
                quiet = .after(Self.drainPatience)
            } else if quiet.hasPassed || end.hasPassed {
                return
            }
            now = Instant(nanoseconds: Deadline.now().nanoseconds)
            hearFirst(events.count, firstLate)
            if let next = nextTry, next <= now { feedStarved() }
            for index in 0..<events.count where !serve(events[index]) { return }
            endLate()
        }
    }

    private var owesAnswers: Bool {
        !heldBack.isEmpty || workers.makesBuffers || clients.contains { !$0.isHeardOut || $0.isWaiting }
    }

    /// Nothing more comes from it. That it is gone, too, would be a hang-up.
    mutating func heardOut(_ client: ClientConnection) {
        client.isHeardOut = true
        try? poller.change(client.socket.descriptor, token: EventToken.client(client.number).rawValue, for: [])
    }
}
