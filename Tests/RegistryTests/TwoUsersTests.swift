// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

/// Clients that are real processes of real users.
@Suite("Two users", .leavesNoDescriptor, .requires("root"))
struct TwoUsersTests {
    private static let (first, second, group): (UInt32, UInt32, UInt32) = (65533, 65532, 60123)

    /// The encoded answer to `message` under one number, whoever asks.
    private func bytes(_ client: inout HandClient, _ message: Message) throws -> [UInt8] {
        Envelope(serial: 1, try client.ask(message)).encoded()
    }

    private func requests(
        _ buffer: BufferID, _ attachment: AttachmentID, _ name: String, _ token: TokenID, of user: UInt32
    ) -> [Request] {
        let soon = Interval.milliseconds(50)
        return [
            .inspect(buffer, token: nil), .inspect(buffer, token: token), .withdraw(buffer), .name(buffer, "mine"),
            .share(buffer, Share(.everyone, .all)), .lookup(name, uid: user),
            .makeToken(TokenID(high: 9, low: 9), buffer, TokenTerms([.attachRead])), .withdrawToken(token),
            .makeToken(TokenID(high: 9, low: 9), buffer, TokenTerms([.attachRead], parent: token)),
            .attach(buffer, AttachTerms(.read)), .attach(buffer, AttachTerms(.read, .pinned, token: token)),
            .attachNamed(name, uid: user, AttachTerms(.read)), .map(attachment), .detach(attachment),
            .pin(attachment), .unpin(attachment), .renew(attachment, lease: soon),
            .beginAccess(attachment, .first, .read), .endAccess(attachment),
            .beginMove(buffer, .first, MoveTerms(within: soon)), .acknowledge(attachment, .first, ending: nil),
            .refuseMove(attachment, .first), .abortMove(buffer, .first),
            .revoke(buffer, RevokeTerms(.everyone, within: soon)),
            .revoke(buffer, RevokeTerms(.attachment(attachment), within: soon)), .acknowledgeRevoke(attachment),
            .restore(attachment), .reserve(attachment, slots: 1),
            .renewFence(attachment, timeline: 1, within: soon), .snapshot(attachment, .read),
            .wait(attachment, .read, within: soon), .lock([buffer], within: soon, lasting: soon),
            .unlock(LockNumber(1)),
        ]
    }

    @Test("what is another user's looks like what is not there, byte for byte")
    func missingAndForbidden() throws {
        let registry = try RunningRegistry("--mode", "0666")
        var owner = try Puppet(at: registry.socket, user: Self.first)
        var stranger = try Puppet(at: registry.socket, user: Self.second)
        let buffer = try owner.client.register(name: "secret")
        let attachment = try owner.client.attach(buffer)
        let (token, none) = (TokenID(high: 5, low: 5), TokenID(high: 7, low: 7))
        // Its rights are not those that are asked for above.
        try owner.client.ask(.makeToken(token, buffer, TokenTerms([.fence])))
        let there = requests(buffer, attachment, "secret", none, of: Self.first)
        let missing = requests(
            BufferID(high: 1, low: 2), AttachmentID(1 << 40), "nothing", none, of: Self.first)
        for (there, missing) in zip(there, missing) {
            let (forbidden, absent) = (
                try bytes(&stranger.client, .request(there)), try bytes(&stranger.client, .request(missing))
            )
            #expect(forbidden == absent, "\(there)")
        }
        guard case .listed(let all, next: 0) = try stranger.client.ask(.list(from: 0)) else { throw Errno.badMessage }
        #expect(all.isEmpty)
        // The owner still has everything.
        #expect(try owner.client.attachments(of: buffer) == 1)
        #expect(try owner.client.allNotices().isEmpty)
        try owner.kill()
        try stranger.kill()
        #expect(try registry.stop().status == 0)
    }

    @Test("a share is for whom it is, and only for that")
    func shares() throws {
        let registry = try RunningRegistry("--mode", "0666")
        var owner = try Puppet(at: registry.socket, user: Self.first)
        var other = try Puppet(at: registry.socket, user: Self.second)
        var member = try Puppet(at: registry.socket, user: 65531, groups: [Self.group])
        let buffer = try owner.client.register(name: "shared")
        func attach(_ client: inout HandClient, _ access: DMABufModel.Access) throws -> Message {
            try client.ask(.request(.attachNamed("shared", uid: Self.first, AttachTerms(access))))
        }
        func isGranted(_ message: Message) -> Bool { if case .granted = message { true } else { false } }
        #expect(try attach(&other.client, .read) == .answer(.refused(.noSuchBuffer)))
        try owner.client.ask(.share(buffer, Share(.user(Self.second), [.attachRead])))
        #expect(isGranted(try attach(&other.client, .read)))
        #expect(try attach(&other.client, .write) == .answer(.refused(.forbidden(missing: [.attachWrite]))))
        #expect(try attach(&member.client, .read) == .answer(.refused(.noSuchBuffer)))
        try owner.client.ask(.share(buffer, Share(.group(Self.group), [.attachRead, .attachWrite])))
        #expect(isGranted(try attach(&member.client, .readWrite)))
        // What only the owner may.
        for request: Request in [
            .withdraw(buffer), .name(buffer, "taken over"), .share(buffer, Share(.user(Self.second), .all)),
        ] { #expect(try other.client.ask(request) == .refused(.notTheOwner)) }
        // Taken back, for what comes.
        try owner.client.ask(.share(buffer, Share(.user(Self.second), [])))
        #expect(try attach(&other.client, .read) == .answer(.refused(.noSuchBuffer)))
        try owner.kill()
        try other.kill()
        try member.kill()
        #expect(try registry.stop().status == 0)
    }

    @Test("of other users' holders only the attachment is said")
    func holders() throws {
        let registry = try RunningRegistry("--mode", "0666")
        var owner = try Puppet(at: registry.socket, user: Self.first)
        var other = try Puppet(at: registry.socket, user: Self.second)
        let buffer = try owner.client.register(name: "held")
        try owner.client.ask(.share(buffer, Share(.everyone, [.attachRead, .attachWrite, .move, .pin])))
        let mine = try owner.client.attach(buffer)
        try owner.client.ask(.pin(mine))
        guard
            case .refused(.pinned(let holders)) = try other.client.ask(
                .beginMove(buffer, .first, MoveTerms(within: .seconds(1))))
        else { throw Errno.badMessage }
        #expect(holders.count == 1 && holders.allSatisfy { $0.client == nil }, "\(holders)")
        guard
            case .refused(.pinned(let own)) = try owner.client.ask(
                .beginMove(buffer, .first, MoveTerms(within: .seconds(1))))
        else { throw Errno.badMessage }
        #expect(own.count == 1 && own.allSatisfy { $0.client != nil }, "\(own)")
        try owner.kill()
        try other.kill()
        #expect(try registry.stop().status == 0)
    }

    @Test("a token carries what it was made with, whoever shows it, and no longer than it stands")
    func tokens() throws {
        let registry = try RunningRegistry("--mode", "0666")
        var owner = try Puppet(at: registry.socket, user: Self.first)
        var other = try Puppet(at: registry.socket, user: Self.second)
        let buffer = try owner.client.register()
        let (once, reading) = (TokenID(high: 11, low: 12), TokenID(high: 13, low: 14))
        try owner.client.ask(.makeToken(once, buffer, TokenTerms([.attachRead], uses: 1)))
        try owner.client.ask(.makeToken(reading, buffer, TokenTerms([.attachRead])))
        func attach(
            _ client: inout HandClient, _ access: DMABufModel.Access, _ token: TokenID
        ) throws -> Message {
            try client.ask(.request(.attach(buffer, AttachTerms(access, token: token))))
        }
        func isGranted(_ message: Message) -> Bool { if case .granted = message { true } else { false } }
        #expect(isGranted(try attach(&other.client, .read, once)))
        #expect(try attach(&other.client, .read, once) == .answer(.refused(.noSuchBuffer)))
        #expect(try attach(&other.client, .write, reading) == .answer(.refused(.forbidden(missing: [.attachWrite]))))
        #expect(isGranted(try attach(&other.client, .read, reading)))
        #expect(
            try other.client.ask(
                .makeToken(TokenID(high: 1, low: 1), buffer, TokenTerms([.attachRead], parent: reading)))
                != .done)
        #expect(try other.client.ask(.withdrawToken(reading)) == .refused(.noSuchToken))
        guard case .tokenWithdrawn(tokens: 1, attachments: 1) = try owner.client.ask(.withdrawToken(reading)) else {
            throw Errno.badMessage
        }
        guard case .revoke = try other.client.nextNotice() else { throw Errno.badMessage }
        try owner.kill()
        try other.kill()
        #expect(try registry.stop().status == 0)
    }

    @Test("a copy that the registry makes is memory that it makes: for its own user, and of nodes, not of files")
    func copies() throws {
        let registry = try RunningRegistry("--mode", "0666")
        var other = try Puppet(at: registry.socket, user: Self.second)
        var own = try HandClient(at: registry.socket)
        func order(_ client: inout HandClient, _ exporter: String) throws -> Message {
            let id = try client.register(kept: .owner)
            let terms = MoveTerms(within: .seconds(5), copier: .server, placement: exporter)
            return try client.ask(.request(.beginMove(id, .first, terms)))
        }
        guard case .refused = try order(&other.client, "memfd"), case .answer(.moveBegun) = try order(&own, "memfd")
        else { throw Errno.badMessage }
        guard case .refused = try order(&own, "dumb:/dev/null"),
            case .refused = try own.ask(
                .allocate(Allocation(.bytes(4096), exporter: "vgem:../null", kept: .owner, name: nil)))
        else { throw Errno.badMessage }
        try other.kill()
        #expect(try registry.stop().status == 0)
    }

    @Test("one user's greed leaves the others their share")
    func quotas() throws {
        let registry = try RunningRegistry(openFiles: 1024, "--mode", "0666")
        var greedy = try Puppet(at: registry.socket, user: Self.first)
        var modest = try Puppet(at: registry.socket, user: Self.second)
        var count = 0
        while count < 2000 {
            let message = Message.register(NewBuffer(HandClient.memories(), kept: .owner))
            guard case .answer(.registered) = try greedy.client.ask(message, try HandClient.memory()) else { break }
            count += 1
        }
        print("a greedy user: \(count) buffers")
        #expect(count < 1024)
        for _ in 0..<32 { _ = try modest.client.register(kept: .owner) }
        try greedy.kill()
        try modest.kill()
        #expect(try registry.stop().status == 0)
    }

    @Test("the socket's mode is kept, and the overflow user is not served")
    func modes() throws {
        let registry = try RunningRegistry()
        #expect(throws: (any Error).self) { _ = try Puppet(at: registry.socket, user: Self.second) }
        #expect(try registry.stop().status == 0)
        let open = try RunningRegistry("--mode", "0666")
        do {
            _ = try Puppet(at: open.socket, user: 65534)
            Issue.record("the overflow user was served")
        } catch { #expect(error as? HandClient.End == .farewell(.unserved)) }
        #expect(try open.stop().status == 0)
    }
}
