// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import DMABufModel

/// What a client may do as often as it likes.
@Suite("Registry: counters")
struct CounterTests {
    @Test("accesses and lost accesses are counted beyond 32 bits")
    func accesses() throws {
        var story = Story()
        let client = try story.connect()
        let buffer = story.register(by: client)
        let attachment = try story.attach(buffer, by: client)
        let slot = try #require(story.registry.attachmentSlots[attachment])
        story.registry.attachments[slot].accesses = UInt64(UInt32.max)
        #expect(story.ask(client, .beginAccess(attachment, .first, .read)) == .done)
        // A revocation loses them all, and those after it are lost on top.
        for round in 1...2 as ClosedRange<UInt64> {
            #expect(story.ask(client, .revoke(buffer, RevokeTerms(.everyone, within: .seconds(1)))) == nil)
            #expect(story.ask(client, .acknowledgeRevoke(attachment)) == .done)
            #expect(story.registry.attachments[slot].lost == round << 32)
            story.observe(.count(buffer, .first, .atBaseline))
            #expect(story.ask(client, .restore(attachment)) == .done)
            guard case .mapped = story.ask(client, .map(attachment)) else { throw Story.Unexpected() }
            story.registry.attachments[slot].accesses = 1 << 32
        }
        #expect(story.ask(client, .endAccess(attachment)) == .accessEnded(.revoked))
    }
}
