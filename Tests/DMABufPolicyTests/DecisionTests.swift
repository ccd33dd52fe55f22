// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufPolicy
import Testing

/// What each line does, to a uid that it is about and to one that it is not.
@Suite("Policy: deciding")
struct DecisionTests {
    private let alice = Identity(uid: 1000, gids: [100, 44], pid: 1)
    private let bob = Identity(uid: 1001, gids: [100], pid: 2)
    private let buffer = BufferID(high: 0, low: 1)
    private let attachment = AttachmentID(1)

    private func line(_ policy: String, _ request: Request, _ who: Identity, owner: UInt32? = nil) throws -> UInt32? {
        do {
            let decided = try Policy(policy).decide(request, from: who, owner: owner)
            #expect(decided == request)
            return nil
        } catch let refusal as Refusal {
            guard case .deniedByPolicy(let line) = refusal else { throw refusal }
            return line
        }
    }

    @Test("who connects: root and the registry's own user always")
    func connect() throws {
        let policy = try Policy("allow uid 1000 connect\ndeny everyone connect")
        #expect(throws: Never.self) { try policy.checkConnect(alice, ownUser: 7) }
        #expect(throws: Refusal.deniedByPolicy(line: 2)) { try policy.checkConnect(bob, ownUser: 7) }
        #expect(throws: Never.self) { try policy.checkConnect(bob, ownUser: 1001) }
        #expect(throws: Never.self) { try policy.checkConnect(Identity(uid: 0, pid: 3), ownUser: 7) }
        #expect(throws: Never.self) { try Policy("").checkConnect(bob, ownUser: 7) }
    }

    @Test(
        "each action is denied to whom the line is about, and to nobody else",
        arguments: ["register", "token", "share", "attach", "pin", "move", "revoke", "fence", "inspect", "lock"])
    func actions(action: String) throws {
        let pinned = Request.attach(buffer, AttachTerms(.read, .pinned))
        let requests: [String: [Request]] = [
            "register": [.register(buffer, Registration(backing: Backing(inode: 1, byteCount: 1)))],
            "token": [.makeToken(TokenID(high: 0, low: 1), buffer, TokenTerms(.attachRead))],
            "share": [.share(buffer, Share(.everyone, .attachRead))],
            "attach": [
                .attach(buffer, AttachTerms(.read)), .attachNamed("n", uid: nil, AttachTerms(.read)), pinned,
            ],
            "pin": [.pin(attachment), pinned],
            "move": [.beginMove(buffer, .first, MoveTerms(within: .seconds(1)))],
            "revoke": [.revoke(buffer, RevokeTerms(.everyone, within: .seconds(1))), .restore(attachment)],
            "fence": [
                .reserve(attachment, slots: 1),
                .addFence(attachment, FenceTerms(timeline: 1, point: 1, usage: .write), lock: nil),
                .renewFence(attachment, timeline: 1, within: .seconds(1)),
            ],
            "inspect": [.inspect(buffer, token: nil)],
            "lock": [.lock([buffer], within: .seconds(1), lasting: .seconds(1))],
        ]
        let all = Set(requests.values.joined())
        for request in all {
            let isMeant = requests[action]?.contains(request) == true
            #expect(try line("deny uid 1001 \(action)", request, bob) == (isMeant ? 1 : nil))
            #expect(try line("deny uid 1001 \(action)", request, alice) == nil)
            #expect(try line("deny group 44 \(action)", request, alice) == (isMeant ? 1 : nil))
            #expect(try line("deny group 44 \(action)", request, bob) == nil)
            #expect(try line("allow uid 1001 \(action)\ndeny everyone \(action)", request, bob) == nil)
            #expect(
                try line("allow uid 1001 \(action)\ndeny everyone \(action)", request, alice) == (isMeant ? 2 : nil))
        }
    }

    @Test("what lets go is never denied")
    func lettingGo() throws {
        let all = ["register", "token", "share", "attach", "pin", "move", "revoke", "fence", "inspect", "lock"]
            .map { "deny everyone \($0)\n" }.joined()
        for request: Request in [
            .withdraw(buffer), .detach(attachment), .unpin(attachment), .endAccess(attachment), .list(from: 0),
            .unlock(LockNumber(1)), .acknowledgeRevoke(attachment), .abortMove(buffer, .first),
            .acknowledge(attachment, .first, ending: FenceTerms(timeline: 1, point: 1, usage: .read)),
            .share(buffer, Share(.everyone, [])), .withdrawToken(TokenID(high: 0, low: 1)), .map(attachment),
        ] { #expect(try line(all, request, bob) == nil) }
    }

    @Test("the first line that fits decides, and not the narrowest")
    func first() throws {
        let request = Request.pin(attachment)
        #expect(try line("deny everyone pin of others\nallow uid 1000 pin", request, alice, owner: 5) == 1)
        #expect(try line("allow group 44 pin\ndeny uid 1000 pin", request, alice) == nil)
        #expect(try line("deny uid 1000 pin\nallow group 44 pin", request, alice) == 1)
    }

    @Test("whose buffer it is")
    func whose() throws {
        let request = Request.revoke(buffer, RevokeTerms(.everyone, within: .seconds(1)))
        #expect(try line("deny everyone revoke of others", request, bob, owner: 1000) == 1)
        #expect(try line("deny everyone revoke of others", request, bob, owner: 1001) == nil)
        #expect(try line("deny everyone revoke of others", request, bob, owner: nil) == nil)
        #expect(try line("deny everyone revoke of own", request, bob, owner: 1001) == 1)
        #expect(try line("deny everyone revoke of own", request, bob, owner: 1000) == nil)
        #expect(try line("deny everyone revoke of uid 1000", request, bob, owner: 1000) == 1)
        #expect(try line("deny everyone revoke of uid 1000", request, bob, owner: 5) == nil)
    }

    @Test("who shares what with whom")
    func sharing() throws {
        let policy = "allow uid 1000 share group 44 read,fence\ndeny everyone share"
        func share(_ audience: Share.Audience, _ rights: Rights) -> Request { .share(buffer, Share(audience, rights)) }
        #expect(try line(policy, share(.group(44), [.attachRead, .fence]), alice) == nil)
        #expect(try line(policy, share(.group(44), .attachRead), alice) == nil)
        #expect(try line(policy, share(.group(44), [.attachRead, .attachWrite]), alice) == 2)
        #expect(try line(policy, share(.group(45), .attachRead), alice) == 2)
        #expect(try line(policy, share(.everyone, .attachRead), alice) == 2)
        #expect(try line(policy, share(.group(44), .attachRead), bob) == 2)
        // To share with everyone is to share with whoever is named.
        #expect(try line("deny everyone share uid 1001", share(.everyone, .attachRead), alice) == 1)
        #expect(try line("deny everyone share uid 1001", share(.user(1002), .attachRead), alice) == nil)
        #expect(try line("deny everyone share everyone", share(.user(1002), .attachRead), alice) == nil)
        #expect(try line("allow everyone share everyone\ndeny everyone share", share(.group(1), .pin), alice) == nil)
        // One right of those that are denied is enough.
        #expect(try line("deny everyone share write,pin", share(.user(1002), [.attachRead, .pin]), alice) == 1)
        #expect(try line("deny everyone share write,pin", share(.user(1002), .attachRead), alice) == nil)
    }

    @Test("who attaches for what")
    func attaching() throws {
        let policy = "allow uid 1001 attach read\ndeny uid 1001 attach of others"
        func attach(_ access: Access) -> Request { .attach(buffer, AttachTerms(access)) }
        #expect(try line(policy, attach(.read), bob, owner: 1000) == nil)
        #expect(try line(policy, attach(.readWrite), bob, owner: 1000) == 2)
        #expect(try line(policy, attach(.readWrite), bob, owner: 1001) == nil)
        #expect(try line(policy, attach(.readWrite), alice, owner: 1001) == nil)
        #expect(try line("deny everyone attach write", attach(.readWrite), bob) == 1)
        #expect(try line("deny everyone attach write", attach(.read), bob) == nil)
    }

    @Test("tokens carry no more than a line allows")
    func tokens() throws {
        func make(_ rights: Rights) -> Request {
            .makeToken(TokenID(high: 0, low: 1), buffer, TokenTerms(rights))
        }
        #expect(try line("deny everyone token delegate,pin", make([.attachRead, .delegate]), bob) == 1)
        #expect(try line("deny everyone token delegate,pin", make(.attachRead), bob) == nil)
        #expect(try line("allow everyone token read\ndeny everyone token", make([.attachRead, .move]), bob) == 2)
    }

    @Test("for whom buffers are made, and with which exporters")
    func allocation() throws {
        let policy = try Policy("allow uid 1000 allocate heap,udmabuf\ndeny uid 1000 allocate\ndeny uid 1001 allocate")
        #expect(try policy.placement("heap:system", for: alice)?.exporter == "heap:system")
        #expect(throws: Refusal.deniedByPolicy(line: 2)) { try policy.placement("vgem", for: alice) }
        #expect(throws: Refusal.deniedByPolicy(line: 2)) { try policy.placement("heaps", for: alice) }
        // Named by none: the first that is an exporter as it stands.
        #expect(try policy.placement(nil, for: alice)?.exporter == "udmabuf")
        #expect(throws: Refusal.deniedByPolicy(line: 3)) { try policy.placement(nil, for: bob) }
        // A line that leaves it open which heap cannot choose one.
        let heaps = try Policy("allow everyone allocate heap")
        #expect(throws: Refusal.deniedByPolicy(line: 1)) { try heaps.placement(nil, for: bob) }
        #expect(try heaps.placement("vgem", for: bob) == nil)
        // The best there is might be the one that is denied.
        let denied = try Policy("deny everyone allocate vgem")
        #expect(throws: Refusal.deniedByPolicy(line: 1)) { try denied.placement(nil, for: bob) }
        #expect(throws: Refusal.deniedByPolicy(line: 1)) { try denied.placement("vgem:card1", for: bob) }
        #expect(try denied.placement("udmabuf", for: bob) == nil)
        // A kind alone may be any of it.
        let card = try Policy("deny everyone allocate vgem:card1,vulkan:0")
        for name in ["vgem", "vgem:card1", "vulkan"] {
            #expect(throws: Refusal.deniedByPolicy(line: 1)) { try card.placement(name, for: bob) }
        }
        #expect(try card.placement("vgem:card2", for: bob) == nil)
    }

    @Test("a move's copy by the registry is placed as an allocation is")
    func moves() throws {
        let policy = try Policy("allow everyone allocate udmabuf,heap:system\ndeny everyone allocate")
        func move(_ copier: MoveTerms.Copier, _ placement: String?) -> Request {
            .beginMove(buffer, .first, MoveTerms(within: .seconds(1), copier: copier, placement: placement))
        }
        #expect(try policy.decide(move(.server, nil), from: bob, owner: nil) == move(.server, "udmabuf"))
        #expect(throws: Refusal.deniedByPolicy(line: 2)) {
            try policy.decide(move(.server, "vgem"), from: bob, owner: nil)
        }
        #expect(try policy.decide(move(.mover, nil), from: bob, owner: nil) == move(.mover, nil))
    }

    @Test("a lease is laid upon who has none, and shortens a longer one")
    func leases() throws {
        let policy = try Policy("lease uid 1001 of others at most 30s\nlease group 44 at most 1h")
        func lease(_ asked: Interval?, _ who: Identity, owner: UInt32?) throws -> Interval? {
            let request = Request.attachNamed("n", uid: 1000, AttachTerms(.read, lease: asked))
            guard case .attachNamed("n", uid: 1000, let terms) = try policy.decide(request, from: who, owner: owner)
            else { return nil }
            return terms.lease
        }
        #expect(try lease(nil, bob, owner: 1000) == .seconds(30))
        #expect(try lease(.seconds(40), bob, owner: 1000) == .seconds(30))
        #expect(try lease(.seconds(5), bob, owner: 1000) == .seconds(5))
        #expect(try lease(nil, bob, owner: 1001) == nil)
        #expect(try lease(nil, alice, owner: 1000) == .seconds(3600))
        let renewal = Request.renew(attachment, lease: .seconds(50))
        #expect(try policy.decide(renewal, from: bob, owner: 1000) == .renew(attachment, lease: .seconds(30)))
        #expect(try policy.decide(renewal, from: bob, owner: 1001) == renewal)
    }

    @Test("quotas of a uid, of every uid, of all together")
    func quotas() throws {
        let policy = try Policy(
            """
            quota uid 1000 bytes 4GiB
            quota everyone bytes 1MiB
            quota everyone attachments 10
            quota total buffers 500
            quota uid 1002 buffers unlimited
            """)
        let (first, second) = (policy.conditions(for: alice).ceilings, policy.conditions(for: bob).ceilings)
        #expect(first[.bytes] == Ceiling(limit: 4 << 30, line: 1))
        #expect(second[.bytes] == Ceiling(limit: 1 << 20, line: 2))
        #expect(first[.attachments] == Ceiling(limit: 10, line: 3) && first[.buffers] == nil)
        let limits = policy.limits(insteadOf: Limits())
        #expect(limits.buffers == 500 && limits.bytes == Limits().bytes)
    }

    @Test("the ladder of a holder is the first that is about it")
    func ladders() throws {
        let policy = try Policy("revoke uid 1001 grace 100ms kill\nrevoke group 100 grace 2s keep")
        #expect(policy.conditions(for: bob).ladder == Ladder(grace: .milliseconds(100), last: .killed))
        #expect(policy.conditions(for: alice).ladder == Ladder(grace: .seconds(2), last: .told))
        #expect(policy.conditions(for: Identity(uid: 7, pid: 1)).ladder == nil)
    }
}
