// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

@testable import DMABufClient

/// What one user does with its own buffers, and all that another one is told and shown meanwhile.
@Suite("One user's doings before another's eyes", .leavesNoDescriptor, .requires("root"))
struct UsersApartTests {
    private static let (first, second): (UInt32, UInt32) = (65533, 65532)
    private static let name = "nobody else's business"
    /// A size that means nothing else.
    private static let byteCount: UInt64 = 0x5a3_7000

    private let limit = Deadline.after(.seconds(120))

    @Test("neither a page nor a message has anything of it")
    func nothing() throws {
        let registry = try RunningRegistry("--mode", "0666")
        let watcher = try Eavesdropper(at: registry.socket, user: Self.second)
        try watcher.join()
        let connection = watcher.pages?.connection
        let own = try watcher.register("mine")
        let granted = try watcher.attach(own)
        let word = try #require(granted.word)
        watcher.count(in: word)
        let before = watcher.publishedWords
        // Its own connection and slot, and what says that the registry is there.
        let known = Set([connection.map(Int.init), Int(word.slot)]).union(before.indices.suffix(8))
        let others = before.indices.filter { before[$0] != 0 && !known.contains($0) }
        #expect(others == [])
        // The last one holds the number of the registry's process, which its socket tells as well, and no address.
        #expect(before.suffix(8) == [UInt64(registry.processID), 0, 0, 0, 0, 0, 0, 0])
        watcher.forgetWhatWasHeard()

        var (hidden, steps) = ([Secrecy](), 0)
        try act(at: registry.socket) { secrets in
            hidden = secrets
            steps += 1
            try watcher.look(for: Self.name, of: Self.first)
            let after = watcher.publishedWords
            let changed = after.indices.filter { after[$0] != before[$0] }
            #expect(changed == [], "step \(steps)")
            let counts = watcher.ownWords
            #expect(counts.enumerated().allSatisfy { $1 == (UInt32($0) == word.word ? 1 : 0) })
        }
        #expect(steps == 9)
        for secret in hidden {
            let isHeard = watcher.hasHeard(secret.bytes)
            #expect(!isHeard, "\(secret.what)")
        }
        // The control: what is its own it has heard.
        let hasOwn = watcher.hasHeard(Secrecy("", own.high, own.low).bytes) && watcher.hasHeard(Array("mine".utf8))
        #expect(hasOwn)
        try watcher.kill()
        #expect(try registry.stop().status == 0)
    }

    @Test("of who holds a buffer that both share, the attachment alone is said")
    func shared() throws {
        let registry = try RunningRegistry("--mode", "0666")
        let watcher = try Eavesdropper(at: registry.socket, user: Self.second)
        try watcher.join()
        var relay = try Relay(to: registry.socket, as: Self.first)
        let process = Secrecy("its process", UInt32(bitPattern: relay.processID))
        var owner = try RegistryConnection(relay.takeSocket(), until: limit)
        let memory = try MemFDExporter().export(.bytes(4096))
        let (id, _) = try owner.register(memory, kept: .owner, name: "shared", until: limit)
        let audience = Share(.user(Self.second), [.attachRead, .attachWrite, .move, .pin, .revoke, .fence])
        try owner.ask(.share(id, audience), until: limit)
        let attached = try owner.attach(id, AttachTerms(.readWrite), until: limit)
        let theirs = [DMABufModel.Holder(attached.attachment, nil)]
        _ = try watcher.attach(id)

        try owner.ask(.pin(attached.attachment), until: limit)
        #expect(try watcher.move(id) == .answer(.refused(.pinned(by: theirs))))
        try owner.ask(.unpin(attached.attachment), until: limit)
        let access = try owner.beginAccess(attached, .readWrite, until: limit)
        guard case .answer(.moveBegun) = try watcher.move(id) else { throw Errno.badMessage }
        #expect(try watcher.hear { $0 == .moveEnded(id, .aborted(.late(theirs))) })
        _ = try owner.endAccess(access, until: limit)
        let terms = RevokeTerms(.attachment(attached.attachment), within: .milliseconds(20))
        let level = try watcher.ask(.request(.revoke(id, terms)))
        #expect(level == .answer(.revoked(.unconfirmed(theirs))))
        #expect(try watcher.ask(.request(.inspect(id, token: nil))) == .answer(.refused(.forbidden(missing: .inspect))))
        let (hears, hearsSecret) = (watcher.hasHeard(process.bytes), watcher.hasHeard(owner.secrecy.bytes))
        #expect(!hears && !hearsSecret)
        try relay.kill()
        try watcher.kill()
        #expect(try registry.stop().status == 0)
    }

    @Test("a page is its user's alone: nobody else has its descriptor, and nobody at all maps it to write")
    func descriptors() throws {
        let registry = try RunningRegistry("--mode", "0666")
        // Each joins before the next one's process starts.
        var clients: [Eavesdropper] = []
        for user in [Self.first, Self.second, Self.second] {
            clients.append(try Eavesdropper(at: registry.socket, user: user))
            try clients.last?.join()
        }
        let (one, other, same) = (clients[0], clients[1], clients[2])
        for client in [one, other, same] {
            #expect(client.files.count == 2 && !client.couldWritePublished)
        }
        #expect(Set(one.files).isDisjoint(with: other.files))
        #expect(other.files[0] == same.files[0] && other.files[1] != same.files[1])
        // The registry's own are reached through /proc by whoever may look at it, which another user may not.
        #expect(try opened(by: Self.second, of: registry.processID) == 0)
        #expect(try opened(by: 0, of: registry.processID) > 0)
        for client in [one, other, same] { try client.kill() }
        #expect(try registry.stop().status == 0)
    }

    /// How many of a process's memory files that user can open.
    private func opened(by user: UInt32, of process: Int32) throws -> Int {
        let script = """
            import os, sys
            os.setgroups([]); os.setresgid(*3 * [int(sys.argv[1])]); os.setresuid(*3 * [int(sys.argv[1])])
            count = 0
            for number in range(64):
                try:
                    path = f"/proc/{sys.argv[2]}/fd/{number}"
                    count += os.readlink(path).startswith("/memfd:") and os.open(path, os.O_RDONLY) >= 0
                except OSError:
                    pass
            print(count)
            """
        let run = try Running(["python3", "-S", "-E", "-c", script, "\(user)", "\(process)"]).finish()
        return try #require(Int(run.output.split(separator: "\n").first ?? ""), "\(run)")
    }

    /// All that a user does with a buffer, and `look` after each step.
    private func act(at socket: String, _ look: ([Secrecy]) throws -> Void) throws {
        // One joins before the other's process starts: who has connected has a second, and a start can take that long.
        var near = try Relay(to: socket, as: Self.first)
        var owner = try RegistryConnection(near.takeSocket(), until: limit)
        var far = try Relay(to: socket, as: Self.first)
        let processes = [near.processID, far.processID]
        var holder = try RegistryConnection(far.takeSocket(), until: limit)
        let memory = try MemFDExporter().export(.bytes(Self.byteCount))
        let (id, _) = try owner.register(memory, kept: .owner, name: Self.name, until: limit)
        var secrets = [
            Secrecy("its user", Self.first), Secrecy("its buffer's name", Array(Self.name.utf8)),
            Secrecy("its buffer", id.high, id.low), Secrecy("its size", Self.byteCount),
            owner.secrecy,
            Secrecy("its memory", memory.memory[0].inode),
        ]
        secrets += processes.map { Secrecy("its process", UInt32(bitPattern: $0)) }
        try look(secrets)
        let attached = try holder.attach(Self.name, AttachTerms(.readWrite), until: limit)
        try look(secrets)
        let access = try holder.beginAccess(attached, .readWrite, until: limit)
        try look(secrets)
        try owner.ask(.beginMove(id, .first, MoveTerms(within: .seconds(10))), until: limit)
        try look(secrets)
        _ = try holder.endAccess(access, until: limit)
        _ = try owner.next(until: limit) { if case .readyToCopy = $0 { true } else { false } }
        let target = try MemFDExporter().export(.bytes(Self.byteCount))
        try owner.commitMove(of: id, from: .first, to: target, until: limit)
        try look(secrets)
        let again = try holder.map(attached.attachment, until: limit)
        try holder.ask(.reserve(again.attachment, slots: 1), until: limit)
        let event = try EventFD()
        let terms = FenceTerms(timeline: 1, point: 1, usage: .write, kind: .eventFD)
        let fence = try Fence(adopting: try event.descriptor.duplicate())
        _ = try holder.add(fence, to: again.attachment, terms, until: limit)
        try look(secrets)
        try event.signal()
        try owner.ask(.revoke(id, RevokeTerms(.everyone, within: .milliseconds(20))), until: limit)
        try look(secrets)
        try owner.ask(.withdraw(id), until: limit)
        try look(secrets)
        try near.kill()
        try far.kill()
        try look(secrets)
    }
}

extension RegistryConnection {
    fileprivate var secrecy: Secrecy { Secrecy("what it comes back with", joined.secret.high, joined.secret.low) }
}

/// Bytes that must not be anywhere.
struct Secrecy {
    let what: String
    let bytes: [UInt8]

    init(_ what: String, _ bytes: [UInt8]) { (self.what, self.bytes) = (what, bytes) }

    /// 128 bits as a message has them.
    init(_ what: String, _ high: UInt64, _ low: UInt64) {
        let bytes = [high, low].flatMap { half in (0..<8).map { UInt8(truncatingIfNeeded: half >> (56 - $0 * 8)) } }
        self.init(what, bytes)
    }

    /// A number as a message has it.
    init(_ what: String, _ value: some FixedWidthInteger) {
        self.init(what, (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) })
    }
}
