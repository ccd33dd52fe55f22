// SPDX-License-Identifier: Apache-2.0

import DMABufModel

extension World {
    /// Everyone dies, every buffer is withdrawn, every look finds the memory free: then nothing is left.
    mutating func tearDown() {
        for place in clients.indices { leave(place) }
        for (id, identity) in owners {
            connect(0, identity)
            ask(.withdraw(id), from: 0)
            leave(0)
        }
        var steps = 0
        while let next = registry.nextDeadline {
            looks.removeAll()
            now = max(now, next)
            expire()
            for (buffer, generation) in looks { observe(.count(buffer, generation, .atBaseline)) }
            steps += 1
            guard steps < 1000 else { fail("something waits without an end") }
        }
        checkTables()
        guard registry.ledger.isZero else { fail("everyone has gone, and the ledger says \(registry.ledger)") }
    }

    private mutating func leave(_ place: Int) {
        observe(.clientDied(clients[place]))
        clients[place] = ClientID(0)
    }
}
