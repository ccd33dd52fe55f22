// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

/// What no message can say ends neither the program that asks nor its connection.
@Suite("What cannot be asked", .leavesNoDescriptor)
struct MistypedTests {
    private static var soon: Deadline { .after(.seconds(20)) }
    private static let long = String(repeating: "n", count: 256)

    private static let mistyped: [(String, String)] = [
        ("", "1 to 255 bytes"), (long, "this one has 256"), ("two\nlines", "control characters"),
        ("turned\u{202e}", "control characters"),
    ]

    @Test("names that are none", arguments: mistyped)
    func names(name: String, reason: String) throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--from", "memfd", "--size", "4K", "--keep").status == 0)
        let commands: [[String]] = [
            ["share", name, "--from", "memfd", "--size", "4K", "--keep"], ["show", name],
            ["move", name, "--to", "memfd"],
            ["attach", name, "--", "true"], ["lock", "frame", name, "--", "true"], ["fence", "list", name],
            ["copy", "frame", name], ["read", name, "/dev/null"], ["remove", name],
            ["token", "create", name, "--rights", "read"],
            ["display", name, "--on", "kms:card0"],
        ]
        for words in commands {
            let run = try registry.run(words)
            #expect([1, 2, 64].contains(run.status), "\(words): \(run)")
            #expect(run.status == 2 || run.errors.contains(reason), "\(words): \(run)")
        }
        _ = try registry.stop()
    }

    @Test("a move away from a generation that no buffer can have is refused")
    func lastGeneration() throws {
        let registry = try RunningRegistry()
        var client = try HandClient(at: registry.socket)
        let id = try client.register(kept: .owner)
        let none = NewGeneration(of: id, from: Generation(.max), HandClient.memories())
        guard case .refused = try client.ask(.commitMove(none), try HandClient.memory()) else { throw Errno.badMessage }
        try client.ask(.list(from: 0))
        #expect(try registry.stop().status == 0)
    }

    @Test("a connection goes on after each")
    func connection() throws {
        let registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: Self.soon)
        let memory = try ExporterBackend.open("memfd").export(.bytes(4096))
        let (id, generation) = try client.register(memory, kept: .owner, name: "frame", until: Self.soon)
        let attached = try client.attach(id, AttachTerms(.readWrite), until: Self.soon)
        let (attachment, none) = (attached.attachment, TokenID(high: 0, low: 0))
        let fence = FenceTerms(timeline: 1, point: 1, usage: .write)
        let requests: [Request] = [
            .name(id, ""), .name(id, Self.long), .lookup("\u{1b}[2J", uid: nil), .lookup("frame", uid: .max),
            .attachNamed("", uid: nil, AttachTerms(.read)), .attachNamed("frame", uid: .max, AttachTerms(.read)),
            .attach(id, AttachTerms([])), .attach(id, AttachTerms(.read, lease: .seconds(0))),
            .attach(id, AttachTerms(.read, token: none)), .inspect(id, token: none), .withdrawToken(none),
            .makeToken(none, id, TokenTerms(.attachRead)),
            .makeToken(TokenID(high: 1, low: 1), id, TokenTerms(.attachRead, uses: 0)),
            .makeToken(TokenID(high: 1, low: 1), id, TokenTerms(.attachRead, lasts: .seconds(0))),
            .makeToken(TokenID(high: 1, low: 1), id, TokenTerms(.attachRead, parent: none)),
            .map(AttachmentID(0)), .beginAccess(attachment, Generation(0), .read),
            .beginAccess(attachment, generation, []), .beginMove(id, Generation(0), MoveTerms(within: .seconds(1))),
            .beginMove(id, generation, MoveTerms(within: .seconds(1), copier: .server, placement: Self.long)),
            .beginMove(id, generation, MoveTerms(within: .seconds(1), copier: .server, placement: "")),
            .beginMove(id, generation, MoveTerms(within: .seconds(1), token: none)),
            .beginMove(id, generation, MoveTerms(within: .seconds(1), lock: LockNumber(0))),
            .revoke(id, RevokeTerms(.attachment(AttachmentID(0)), within: .seconds(1))), .unlock(LockNumber(0)),
            .lock([BufferID](repeating: id, count: 257), within: .seconds(1), lasting: .seconds(1)),
            .addFence(attachment, fence, lock: nil), .addFence(attachment, fence, lock: LockNumber(0)),
            .register(id, Registration(backing: Backing(inode: 1, byteCount: 1))),
            .commitMove(id, generation, Backing(inode: 1, byteCount: 1), fence: nil),
        ]
        for request in requests {
            #expect("\(request)") { _ = try client.ask(request, until: Self.soon) } throws: { error in
                guard case RegistryError.local(let error) = error else { return false }
                return error.code == .invalid
            }
        }
        for name in ["", Self.long, "\u{7}"] {
            #expect(throws: RegistryError.self) { try client.register(memory, name: name, until: Self.soon) }
            #expect(throws: RegistryError.self) { try client.allocate(.bytes(4096), name: name, until: Self.soon) }
            #expect(throws: RegistryError.self) { try client.allocate(.bytes(4096), from: name, until: Self.soon) }
        }
        #expect(try client.ask(.lookup("frame", uid: nil), until: Self.soon) == .found(id, generation))
        _ = try registry.stop()
    }

    @Test("tasks are told the same")
    func tasks() async throws {
        let registry = try RunningRegistry()
        let client = try RegistryClient(at: registry.socket, until: Self.soon)
        await #expect(throws: RegistryError.self) { try await client.ask(.lookup("", uid: nil), until: Self.soon) }
        await #expect(throws: RegistryError.self) {
            try await client.allocate(.bytes(4096), name: Self.long, until: Self.soon)
        }
        client.close()
        _ = try registry.stop()
    }

    @Test("numbers and lists that are none")
    func numbers() throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--from", "memfd", "--size", "4K", "--keep").status == 0)
        let user = try registry.run("show", "frame", "--of", "4294967295")
        #expect([1, 64].contains(user.status) && !user.errors.isEmpty, "\(user)")
        let exporter = try registry.run("move", "frame", "--to", Self.long)
        #expect([1, 64].contains(exporter.status) && !exporter.errors.isEmpty, "\(exporter)")
        _ = try registry.stop()
    }
}
