// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

@Suite("Clients that do not read, or say nothing", .leavesNoDescriptor)
struct UnreadTests {
    @Test("who attaches again and again and reads nothing keeps nobody waiting")
    func attachesUnread() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("a client that reads nothing") {
            var client = try HandClient(at: registry.socket)
            let buffer = try client.register(kept: .owner)
            var sent = 0
            let deadline = Deadline.after(.seconds(1))
            while !deadline.hasPassed {
                guard try client.trySend(.request(.attach(buffer, AttachTerms(.read)))) else {
                    Clock.sleep(.milliseconds(1))
                    continue
                }
                sent += 1
            }
            // It reads at last, and finds an answer to everything.
            for _ in 0..<sent {
                guard case .granted = try client.hear().message else { throw Errno.badMessage }
            }
            print("\(sent) attaches, read afterwards")
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("who leaves its notices unread is cut off, alone")
    func noticesUnread() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("a client that reads no notices") {
            var owner = try HandClient(at: registry.socket)
            var reader = try HandClient(at: registry.socket)
            var deaf = try HandClient(at: registry.socket)
            let buffer = try owner.register(kept: .owner)
            _ = try reader.attach(buffer)
            _ = try deaf.attach(buffer)
            var moves = 0
            // Two notices a move for each of them: "moving", and "aborted".
            while moves < 6000, try owner.attachments(of: buffer) == 2 {
                for _ in 0..<50 {
                    try owner.ask(.beginMove(buffer, .first, MoveTerms(within: .seconds(5))))
                    try owner.ask(.abortMove(buffer, .first))
                }
                owner.notices = []
                moves += 50
                _ = try reader.allNotices()
            }
            print("cut off after \(moves) moves")
            #expect(moves < 6000)
            try reader.ask(.list(from: 0))
            #expect(deaf.end() != .silence)
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("who always leaves one message unread makes the registry keep no more than that")
    func oneUnread() throws {
        let registry = try RunningRegistry()
        var owner = try HandClient(at: registry.socket)
        var slow = try HandClient(at: registry.socket)
        let buffer = try owner.register(kept: .owner)
        _ = try slow.attach(buffer)
        func move(_ count: Int) throws {
            for _ in 0..<count {
                try owner.ask(.beginMove(buffer, .first, MoveTerms(within: .seconds(5))))
                try owner.ask(.abortMove(buffer, .first))
            }
            owner.notices = []
        }
        try move(400)  // more than its queue in the kernel
        let before = registry.residentBytes()
        for _ in 0..<40 {
            try move(100)
            for _ in 0..<200 { _ = try slow.hear() }
        }
        let grown = (registry.residentBytes() - before) / 1024
        print("one unread: \(grown) KiB more after 4000 moves")
        #expect(grown < 1024)
        #expect(try registry.stop().status == 0)
    }

    @Test("who is stopped stays, and holds up nobody; who goes on is served")
    func stopped() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("a client that is stopped") {
            var owner = try HandClient(at: registry.socket)
            let buffer = try owner.register(kept: .owner)
            var puppet = try Puppet(at: registry.socket)
            let attachment = try puppet.client.attach(buffer)
            try puppet.send(.stop)
            let request = try puppet.client.send(.request(.beginAccess(attachment, .first, .read)))
            for _ in 0..<100 {
                try owner.ask(.beginMove(buffer, .first, MoveTerms(within: .seconds(1))))
                guard case .readyToCopy = try owner.nextNotice() else { throw Errno.badMessage }
                try owner.ask(.abortMove(buffer, .first))
                guard case .moveEnded = try owner.nextNotice() else { throw Errno.badMessage }
            }
            try puppet.send(.resume)
            guard case .answer(.done) = try puppet.client.answer(to: request) else { throw Errno.badMessage }
            // Inside an access it is waited for, until the deadline.
            try puppet.send(.stop)
            try owner.ask(.beginMove(buffer, .first, MoveTerms(within: .milliseconds(100))))
            guard case .moveEnded(_, .aborted(.late)) = try owner.nextNotice() else { throw Errno.badMessage }
            try puppet.kill()
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("who says nothing, or only hello, is let go after a second")
    func silent() throws {
        let registry = try RunningRegistry()
        try registry.withCanary("silent connections") {
            var silent = try HandClient(silentAt: registry.socket)
            var polite = try HandClient(silentAt: registry.socket)
            try polite.send(.hello(Hello(features: .registry)))
            let begin = Deadline.now()
            #expect(silent.end() == .farewell(.deadline))
            #expect(polite.end() == .farewell(.deadline))
            let took = (Deadline.now().nanoseconds - begin.nanoseconds) / 1_000_000
            print("let go after \(took) ms")
            #expect(took > 500)
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("who has said all in time is heard, however late the registry comes to it")
    func heardLate() throws {
        let registry = try RunningRegistry()
        var client = try HandClient(silentAt: registry.socket)
        var silent = try HandClient(silentAt: registry.socket)
        // Both have been taken, and their time runs.
        guard case .hello = try client.hear().message, case .hello = try silent.hear().message else {
            throw Errno.badMessage
        }
        try registry.send(.stop)
        try client.send(.hello(Hello(features: .registry)))
        try client.send(.join(Join()))
        Clock.sleep(.milliseconds(1050))
        try registry.send(.resume)
        guard case .joined = try client.hear().message else { throw Errno.badMessage }
        try client.ask(.list(from: 0))
        #expect(silent.end() == .farewell(.deadline))
        #expect(try registry.stop().status == 0)
    }

    @Test("who has let go or asked for more time in time keeps what it has, however late the registry comes to it")
    func answeredLate() throws {
        let registry = try RunningRegistry()
        var owner = try HandClient(at: registry.socket)
        var holder = try HandClient(at: registry.socket)
        let buffer = try owner.register(kept: .owner)
        let asked = try holder.attach(buffer)
        let leased = try holder.attach(buffer, AttachTerms(.read, lease: .seconds(2)))
        let terms = RevokeTerms(.attachment(asked), within: .seconds(2), cutsOff: true)
        let revocation = try owner.send(.request(.revoke(buffer, terms)))
        guard case .revoke = try holder.nextNotice() else { throw Errno.badMessage }
        try registry.send(.stop)
        // The last of several: of each client one message is taken at a time.
        for _ in 0..<5 { try holder.send(.request(.list(from: 0))) }
        try holder.send(.request(.renew(leased, lease: .seconds(60))))
        let last = try holder.send(.request(.acknowledgeRevoke(asked)))
        Clock.sleep(.milliseconds(2200))
        try registry.send(.resume)
        #expect(try holder.answer(to: last) == .answer(.done))
        #expect(try owner.answer(to: revocation) == .answer(.revoked(.cooperative)))
        #expect(try holder.ask(.renew(leased, lease: .seconds(60))) == .done)
        #expect(try registry.stop().status == 0)
    }

    @Test("so many silent connections of one user leave room for others", .requires("root"))
    func halfOpen() throws {
        let registry = try RunningRegistry("--mode", "0666")
        try registry.withCanary("half-open connections") {
            var open: [Holding] = []
            for _ in 0..<400 { open.append(Holding(try HandClient(silentAt: registry.socket))) }
            var other = try Puppet(at: registry.socket, user: 65533)
            try other.client.ask(.list(from: 0))
            try other.kill()
            #expect(open.count == 400)
        }
        #expect(try registry.stop().status == 0)
    }

    @Test("a storm of connections is weathered")
    func storm() throws {
        let registry = try RunningRegistry("--log", "notice")
        try registry.withCanary("a storm of connections") {
            var count = 0
            let deadline = Deadline.after(.seconds(3))
            while !deadline.hasPassed {
                var client = try HandClient(silentAt: registry.socket)
                if count % 4 == 1 { _ = try? client.send(.hello(Hello(features: .registry))) }
                if count % 4 == 2 {
                    // Who stays to hear why is worth a line in the log.
                    try? client.send(bytes: [1, 2, 3])
                    _ = client.end()
                }
                if count % 4 == 3 { _ = try? client.send(.request(.list(from: 0))) }
                count += 1
            }
            print("a storm: \(count / 3) connections a second")
        }
        let run = try registry.stop()
        #expect(run.status == 0)
        let lines = run.errors.split(separator: "\n").count
        print("a storm: \(lines) lines logged")
        #expect((1...200).contains(lines), "a client can fill the log")
    }
}

/// Keeps a client in an array.
private final class Holding {
    let client: HandClient
    init(_ client: consuming HandClient) { self.client = client }
}

extension HandClient {
    mutating func attachments(of buffer: BufferID) throws -> UInt32 {
        var cursor: UInt32 = 0
        repeat {
            guard case .listed(let all, let next) = try ask(.list(from: cursor)) else { throw Errno.badMessage }
            if let listing = all.first(where: { $0.buffer == buffer }) { return listing.attachments }
            cursor = next
        } while cursor != 0
        return 0
    }
}

extension RunningRegistry {
    borrowing func residentBytes() -> Int {
        let text = String(
            decoding: (try? Sysfs.bytes("/proc/\(processID)/statm", limit: 4096)) ?? [], as: UTF8.self)
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * 4096
    }
}
