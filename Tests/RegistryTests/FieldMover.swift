// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

@testable import DMABufClient

/// Who owns a buffer named "moved", and moves it a step at a time.
struct FieldMover: ~Copyable {
    private static var limit: Deadline { .after(.seconds(20)) }

    private var owner: RegistryConnection
    private let id: BufferID
    private var generation = Generation.first

    init(at socket: String) throws {
        var owner = try RegistryConnection(at: socket, until: Self.limit)
        id = try owner.register(try Field.make(.first), kept: .owner, name: "moved", until: Self.limit).0
        self.owner = owner
    }

    mutating func begin(within: Interval = .seconds(10), late: MoveTerms.Late = .abort) throws {
        try owner.ask(.beginMove(id, generation, MoveTerms(within: within, late: late)), until: Self.limit)
    }

    /// Whether nobody is waited for any more. What the registry has told before is here with its answer.
    mutating func isReady() throws -> Bool {
        _ = try requests()
        return owner.notices.contains { if case .readyToCopy = $0 { true } else { false } }
    }

    /// When nobody is waited for any more.
    mutating func commit() throws {
        let ready = try owner.nextNotice(until: Self.limit) { if case .readyToCopy = $0 { true } else { false } }
        #expect(ready != nil)
        try owner.commitMove(of: id, from: generation, to: try Field.make(generation.next), until: Self.limit)
        generation = generation.next
    }

    mutating func abort() throws { try owner.ask(.abortMove(id, generation), until: Self.limit) }

    /// Asks one back, and gives up soon.
    mutating func revoke(_ attachment: Said.Value, cuttingOff: Bool = false) throws {
        guard case .number(let number) = attachment else { throw Errno.invalidArgument }
        let terms = RevokeTerms(
            .attachment(AttachmentID(number)), within: .milliseconds(20), isFinal: cuttingOff, cutsOff: cuttingOff)
        try owner.ask(.revoke(id, terms), until: Self.limit)
    }

    /// How many requests everyone has made. This is none.
    mutating func requests() throws -> UInt64 {
        try #require(try owner.statistics(until: Self.limit).first { $0.name == "requests" }).value
    }

    consuming func leave() {}
}
