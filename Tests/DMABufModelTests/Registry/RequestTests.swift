// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import Testing

/// What the server does with a request before the rules see it.
@Suite("Registry: requests")
struct RequestTests {
    private static let buffer = BufferID(high: 1, low: 2)
    private static let secret = TokenID(high: 3, low: 4)
    private static let parent = TokenID(high: 5, low: 6)

    /// As a hash would: other numbers, and of different tokens different ones.
    private static func hash(_ token: TokenID) -> TokenID { TokenID(high: ~token.low, low: ~token.high) }

    /// Every request that names a token.
    private static func naming(_ token: TokenID, from parent: TokenID) -> [Request] {
        [
            .makeToken(token, buffer, TokenTerms(.all, uses: 3, lasts: .seconds(1), parent: parent)),
            .withdrawToken(token),
            .inspect(buffer, token: token),
            .attach(buffer, AttachTerms(.read, .pinned, lease: .seconds(1), token: token)),
            .attachNamed("frame", uid: 7, AttachTerms(.write, .revocable, token: token)),
            .beginMove(
                buffer, .first,
                MoveTerms(
                    within: .seconds(1), late: .cutOff, copier: .server, token: token, lock: LockNumber(8),
                    placement: "udmabuf")),
            .revoke(buffer, RevokeTerms(.everyone, within: .seconds(1), isFinal: true, cutsOff: true, token: token)),
        ]
    }

    @Test("no secret reaches the rules: each token is replaced, and nothing else of the request")
    func tokens() {
        let sent = Self.naming(Self.secret, from: Self.parent)
        let known = Self.naming(Self.hash(Self.secret), from: Self.hash(Self.parent))
        #expect(sent.map { $0.mappingTokens(Self.hash) } == known)
        for request in sent { #expect(request.showsToken) }
    }

    @Test("a request without a token stays as it is")
    func noTokens() {
        let attachment = AttachmentID(9)
        for request in [
            .makeToken(Self.secret, Self.buffer, TokenTerms(.all)), .inspect(Self.buffer, token: nil),
            .attach(Self.buffer, AttachTerms(.read)), .attachNamed("frame", uid: nil, AttachTerms(.read)),
            .beginMove(Self.buffer, .first, MoveTerms(within: .seconds(1))),
            .revoke(Self.buffer, RevokeTerms(.attachment(attachment), within: .seconds(1))), .withdraw(Self.buffer),
            .map(attachment), .lock([Self.buffer], within: .seconds(1), lasting: .seconds(1)),
        ] as [Request] {
            var mapped = request
            if case .makeToken(_, let buffer, let terms) = request {
                mapped = .makeToken(Self.hash(Self.secret), buffer, terms)
            }
            #expect(request.mappingTokens(Self.hash) == mapped)
            #expect(request.showsToken == (request != mapped))
        }
    }

    @Test("fair shares: what is asked before a buffer is made gets the same answer as registering it")
    func room() throws {
        var limits = Limits()
        limits.bytes = 64 * 1024
        limits.buffers = 12
        limits.descriptors = 10
        var refused: Set<Resource> = []
        for byteCount in [4096, 16384, 32768, 32769, 65537, .max] as [UInt64] {
            var story = Story(limits)
            let client = try story.connect()
            for number in 1...10 as ClosedRange<UInt64> {
                var asked: Refusal?
                do throws(Refusal) { try story.registry.checkRoom(for: byteCount, by: client) } catch { asked = error }
                let registration = Registration(backing: Backing(inode: number, byteCount: byteCount))
                let id = BufferID(high: 0, low: number)
                let answer = story.ask(client, .register(id, registration))
                #expect(answer == (asked.map { .refused($0) } ?? .registered(id, .first)))
                if case .overQuota(let excess) = asked { refused.insert(excess.resource) }
            }
        }
        #expect(refused == [.bytes, .descriptors])
    }

    @Test("fair shares: who is gone is told nothing before, and gets nothing after")
    func roomOfTheDead() throws {
        var story = Story()
        let client = try story.connect()
        story.observe(.clientDied(client))
        try story.registry.checkRoom(for: .max, by: client)
        let registration = Registration(backing: Backing(inode: 1, byteCount: 4096))
        #expect(story.ask(client, .register(BufferID(high: 0, low: 1), registration)) == nil)
    }
}
