// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

/// What the kernel is asked for a request, counted: the same on every machine, however slow.
@Suite("System calls per request", .requires("strace"), .leavesNoDescriptor)
struct SystemCallTests {
    /// Of a daemon that serves many; each is there for a reason, and one more has to have one.
    static let perMessage = ["epoll_pwait2": 1, "recvmsg": 1, "sendmsg": 1]

    @Test("a look-up costs three: a wait, a message in and a message out")
    func lookup() throws {
        try counting { (client, name, deadline) in
            try client.ask(.lookup(name, uid: nil), until: deadline)
        } expect: {
            #expect($0 == Self.perMessage)
        }
    }

    @Test(
        "an attachment and its end cost one more: whether the descriptor before it has been read; the journal costs none",
        arguments: [false, true])
    func attach(hasVault: Bool) throws {
        try counting(hasVault: hasVault) { (client, name, deadline) in
            let attached = try client.attach(name, AttachTerms(.read), until: deadline)
            try client.ask(.detach(attached.attachment), until: deadline)
        } expect: {
            #expect($0 == Self.perMessage.mapValues { $0 * 2 }.merging(["ioctl": 1]) { $1 })
        }
    }

    @Test("a map costs a look at whether the descriptor before it has been read")
    func map() throws {
        var own: AttachedBuffer?
        try counting { (client, name, deadline) in
            let attached = try own ?? client.attach(name, AttachTerms(.read), until: deadline)
            own = try client.map(attached.attachment, until: deadline)
        } expect: {
            #expect($0 == Self.perMessage.merging(["ioctl": 1]) { $1 })
        }
    }

    @Test("a fence takes one to know it and two to wait for it in its predecessor's place, which is closed")
    func addFence() throws {
        var own: AttachedBuffer?
        var point: UInt64 = 0
        try counting { (client, name, deadline) in
            let attached = try own ?? client.reserving(name, until: deadline)
            own = attached
            point += 1
            try client.promise(attached, point, until: deadline)
        } expect: {
            // The link; one away, one in.
            let known = ["readlink": 1, "epoll_ctl": 2, "close": 1]
            #expect($0 == Self.perMessage.merging(known) { $1 })
        }
    }

    @Test("a wait with nothing to wait for, and a promise that is renewed, cost their messages alone")
    func waitAndRenew() throws {
        var own: AttachedBuffer?
        try counting { (client, name, deadline) in
            let attached = try own ?? client.reserving(name, until: deadline)
            if own == nil { try client.promise(attached, 1, until: deadline) }
            own = attached
            // What another reader has promised is not in a reader's way.
            try client.ask(.wait(attached.attachment, .write, within: .seconds(1)), until: deadline)
            try client.ask(.renewFence(attached.attachment, timeline: 1, within: .seconds(10)), until: deadline)
        } expect: {
            #expect($0 == Self.perMessage.mapValues { $0 * 2 })
        }
    }

    @Test("a fence that signals while somebody waits costs its promise, the look at it, and what the waiter is told")
    func signal() throws {
        let registry = try TracedRegistry()
        let deadline = Deadline.after(.seconds(60))
        var owner = try RegistryConnection(at: registry.socket, until: deadline)
        _ = try owner.register(MemFDExporter().export(.bytes(4096)), name: "asked", until: deadline)
        let attached = try owner.attach("asked", AttachTerms(.readWrite), until: deadline)
        var waiter = try HandClient(at: registry.socket)
        let waiting = try waiter.attach(attached.id, .read)
        var point: UInt64 = 0
        let counts = try registry.callsPerRound {
            point += 1
            let event = try EventFence()
            let terms = FenceTerms(timeline: 1, point: point, usage: .write, kind: .eventFD, within: .seconds(10))
            try owner.ask(.reserve(attached.attachment, slots: 1), until: deadline)
            _ = try owner.add(event.fence, to: attached.attachment, terms, until: deadline)
            let request = try waiter.send(.request(.wait(waiting, .read, within: .seconds(10))))
            // What is asked after it is answered before it.
            try waiter.ask(.list(from: 0))
            try event.signal()
            guard case .answer(.waited(.ok)) = try waiter.answer(to: request) else { throw Errno.badMessage }
        }
        // A wake by the eventfd and a look at it; the link, one in, one away, and it is closed.
        let known = ["epoll_pwait2": 1, "ppoll": 1, "readlink": 1, "epoll_ctl": 2, "close": 1]
        // Reserve, add, wait and list.
        #expect(counts == Self.perMessage.mapValues { $0 * 4 }.merging(known) { $0 + $1 })
        try registry.stop()
    }

    @Test("a lock and its end cost their messages alone")
    func lock() throws {
        try counting { (client, name, deadline) in
            guard case .found(let id, _) = try client.ask(.lookup(name, uid: nil), until: deadline),
                case .locked(let lock, _) = try client.ask(
                    .lock([id], within: .seconds(1), lasting: .seconds(1)), until: deadline)
            else { throw Errno.badMessage }
            try client.ask(.unlock(lock), until: deadline)
        } expect: {
            #expect($0 == Self.perMessage.mapValues { $0 * 3 })
        }
    }

    @Test("a move by a client costs its messages, what a registration costs, and a wake of who waits at the slot")
    func move() throws {
        var own: AttachedBuffer?
        try counting { (client, name, deadline) in
            let attached = try own ?? client.attach(name, AttachTerms(.readWrite), until: deadline)
            let (id, generation) = (attached.id, attached.generation)
            let access = try client.beginAccess(attached, .readWrite, until: deadline)
            try client.ask(.beginMove(id, generation, MoveTerms(within: .seconds(1))), until: deadline)
            // Which acknowledges.
            _ = try client.endAccess(access, until: deadline)
            let target = try MemFDExporter().export(.bytes(4096))
            try client.hear(until: deadline) { if case .readyToCopy = $0 { true } else { false } }
            try client.commitMove(of: id, from: generation, to: target, until: deadline)
            own = try client.map(attached.attachment, until: deadline)
            try client.hear(until: deadline) { if case .released = $0 { true } else { false } }
        } expect: {
            // Of the new memory the link, the seals, the filesystem, the size, the access; the old one is closed. Before the
            // descriptor that a map brings is sent, it is looked at whether the one before has been read.
            let known = ["readlink": 1, "fcntl": 2, "fstatfs": 1, "fstat": 1, "close": 1, "ioctl": 1, "futex": 1]
            // Begin, acknowledge, commit and map are answered; and told are invalidate, readyToCopy, moved, moveEnded, released.
            let messages = ["epoll_pwait2": 4, "recvmsg": 4, "sendmsg": 9]
            #expect($0 == messages.merging(known) { $1 })
        }
    }

    @Test("a registration and its end: five to know the memory, one for a number, one to let go")
    func register() throws {
        let buffer = try MemFDExporter().export(.bytes(4096))
        try counting { (client, _, deadline) in
            let (id, _) = try client.register(buffer, until: deadline)
            try client.ask(.withdraw(id), until: deadline)
        } expect: {
            // The link, the seals, the filesystem, the size, the access.
            let known = ["readlink": 1, "fcntl": 2, "fstatfs": 1, "fstat": 1, "getrandom": 1, "close": 1]
            #expect($0 == Self.perMessage.mapValues { $0 * 2 }.merging(known) { $1 })
        }
    }

    @Test("a table of open files that is full makes nobody spin, and who waits is served when there is room")
    func fullTable() throws {
        let registry = try TracedRegistry()
        var client = try HandClient(at: registry.socket)
        let daemon = try registry.daemonID()
        // Who has been answered once needs no descriptor that is still to come.
        try client.ask(.list(from: 0))
        func setOpenFiles(_ count: String) throws {
            #expect(try Running(["prlimit", "--pid", "\(daemon)", "--nofile=\(count):"]).finish().status == 0)
        }
        // Below the numbers in use, so that giving the spare one up does not help.
        try setOpenFiles("3")
        var waiting = try HandClient(silentAt: registry.socket)
        let before = registry.calls()
        Clock.sleep(.seconds(1))
        let counts = registry.calls().merging(before) { $0 - $1 }
        print("calls while the table is full: \(counts.filter { $0.value > 0 })")
        for name in ["accept4", "epoll_pwait2"] { #expect(counts[name, default: 0] < 1000) }
        // Who is here already is served all the while.
        try client.ask(.list(from: 0))
        try setOpenFiles("1024")
        try waiting.join()
        try waiting.ask(.list(from: 0))
        try registry.stop()
    }

    private func counting(
        hasVault: Bool = false, _ request: (inout RegistryConnection, String, Deadline) throws -> Void,
        expect: ([String: Int]) -> Void
    ) throws {
        let registry = try TracedRegistry(hasVault: hasVault)
        let deadline = Deadline.after(.seconds(60))
        var client = try RegistryConnection(at: registry.socket, until: deadline)
        _ = try client.register(MemFDExporter().export(.bytes(4096)), name: "asked", until: deadline)
        let counts = try registry.callsPerRound { try request(&client, "asked", deadline) }
        expect(counts)
        try registry.stop()
    }
}

extension TracedRegistry {
    /// What each of many rounds costs.
    borrowing func callsPerRound(_ round: () throws -> Void) throws -> [String: Int] {
        // The first of a kind may make room for the others.
        for _ in 0..<5 { try round() }
        let rounds = 100
        let before = calls()
        for _ in 0..<rounds { try round() }
        let counts = calls().merging(before) { $0 - $1 }
        return counts.mapValues { ($0 + rounds / 2) / rounds }.filter { $0.value > 0 }
    }
}

extension RegistryConnection {
    /// Attached, with a slot for a fence.
    fileprivate mutating func reserving(_ name: String, until deadline: Deadline) throws -> AttachedBuffer {
        let attached = try attach(name, AttachTerms(.readWrite), until: deadline)
        try ask(.reserve(attached.attachment, slots: 1), until: deadline)
        return attached
    }

    /// Work that only reads, and does not end.
    fileprivate mutating func promise(_ attached: AttachedBuffer, _ point: UInt64, until deadline: Deadline) throws {
        let fence = try Fence(adopting: try EventFD().descriptor.duplicate())
        let terms = FenceTerms(timeline: 1, point: point, usage: .read, kind: .eventFD, within: .seconds(10))
        _ = try add(fence, to: attached.attachment, terms, until: deadline)
    }

    /// What came before is of no interest.
    fileprivate mutating func hear(until deadline: Deadline, _ isMeant: (Notice) -> Bool) throws {
        let notice = try nextNotice(until: deadline, where: isMeant)
        #expect(notice != nil)
        while try nextNotice(until: .now()) != nil {}
    }
}
