// SPDX-License-Identifier: Apache-2.0

import DMABufClient
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

/// More work than there are workers.
@Suite("Many copies at once", .leavesNoDescriptor)
struct ManyCopiesTests {
    @Test("a copy waits for its turn, and each move ends well")
    func copies() throws {
        let registry = try RunningRegistry()
        let limit = Deadline.after(.seconds(60))
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var moving: Set<BufferID> = []
        for _ in 0..<24 {
            moving.insert(try owner.allocate(.bytes(1 << 20), from: "memfd", until: limit).0)
        }
        let terms = MoveTerms(within: .seconds(1), copier: .server, placement: "memfd")
        for buffer in moving { try owner.ask(.beginMove(buffer, .first, terms), until: limit) }
        while !moving.isEmpty {
            guard case .moveEnded(let buffer, let outcome) = try owner.nextNotice(until: limit) else { continue }
            #expect(outcome == .moved(Generation(2), cutOff: []))
            moving.remove(buffer)
        }
        _ = try registry.stop()
    }
}
