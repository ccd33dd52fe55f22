// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

/// The registry is killed, and the next one goes on with what was there.
@Suite("The vault", .leavesNoDescriptor)
struct VaultTests {
    @Test("what the registry keeps is there after its death: names, shares, numbers, and the very memory")
    func kept() throws {
        var registry = try RunningRegistry()
        var owner = try HandClient(at: registry.socket)
        let id = try owner.register(kept: .registry, name: "frame")
        let other = try owner.register(kept: .registry)
        try owner.ask(.share(id, Share(.user(4242), .all)))
        let before = try Self.inode(of: id, by: &owner)
        for round in 1...5 {
            try registry.restart()
            var client = try HandClient(at: registry.socket)
            #expect(try client.ask(.lookup("frame", uid: nil)) == .found(id, .first), "round \(round)")
            #expect(try Self.inode(of: id, by: &client) == before)
            guard case .listed(let all, next: 0) = try client.ask(.list(from: 0)) else { throw Errno.badMessage }
            #expect(Set(all.map(\.buffer)) == [id, other] && all.allSatisfy { $0.kept == .registry })
            _ = try client.attach(id, .read)
        }
        #expect(try registry.stop().errors.contains("took over"))
    }

    private static func inode(of id: BufferID, by client: inout HandClient) throws -> UInt64 {
        guard case .inspected(let buffer) = try client.ask(.request(.inspect(id, token: nil))) else {
            throw Errno.badMessage
        }
        return buffer.inspection.backing.inode
    }

    @Test("a move that was committed is not undone, and a withdrawn buffer does not come back")
    func moved() throws {
        var registry = try RunningRegistry()
        var owner = try HandClient(at: registry.socket)
        let id = try owner.register(kept: .registry, name: "frame")
        let gone = try owner.register(kept: .registry, name: "gone")
        guard case .moveBegun = try owner.ask(.beginMove(id, .first, MoveTerms(within: .seconds(1)))) else {
            throw Errno.badMessage
        }
        let next = NewGeneration(of: id, from: .first, HandClient.memories())
        #expect(try owner.ask(.commitMove(next), try HandClient.memory()) == .answer(.done))
        #expect(try owner.ask(.withdraw(gone)) == .done)
        try registry.restart()
        var client = try HandClient(at: registry.socket)
        #expect(try client.ask(.lookup("frame", uid: nil)) == .found(id, Generation(2)))
        #expect(try client.ask(.lookup("gone", uid: nil)) == .refused(.noSuchBuffer))
        #expect(try registry.stop().status == 0)
    }

    @Test("memory that somebody has made longer is there too, and can move")
    func longer() throws {
        var registry = try RunningRegistry()
        var owner = try HandClient(at: registry.socket)
        let memory = try MemFD.create(named: "long", byteCount: 4096)
        try MemFD.addSeals(memory, [.shrink])
        var list = DescriptorList()
        try list.appendDuplicate(of: memory)
        let message = Message.register(NewBuffer(HandClient.memories(), kept: .registry, name: "frame"))
        guard case .answer(.registered(let id, _)) = try owner.ask(message, list) else { throw Errno.badMessage }
        list = DescriptorList()
        try memory.writeAll([1, 2, 3], at: 4096)
        try registry.restart()
        var client = try HandClient(at: registry.socket)
        #expect(try client.ask(.lookup("frame", uid: nil)) == .found(id, .first))
        let terms = MoveTerms(within: .seconds(5), copier: .server, placement: "memfd")
        guard case .moveBegun = try client.ask(.beginMove(id, .first, terms)) else { throw Errno.badMessage }
        var end: MoveOutcome?
        while end == nil { if case .moveEnded(id, let outcome) = try client.nextNotice() { end = outcome } }
        #expect(end == .moved(Generation(2), cutOff: []))
        _ = try registry.stop()
    }

    @Test("a token opens what it opened, and its uses are not given back")
    func tokens() throws {
        var registry = try RunningRegistry()
        var owner = try HandClient(at: registry.socket)
        let id = try owner.register(kept: .registry)
        let secret = TokenID(high: 7, low: 9)
        #expect(try owner.ask(.makeToken(secret, id, TokenTerms(.attachRead, uses: 2))) == .done)
        for uses in [1, 0] {
            try registry.restart()
            var client = try HandClient(at: registry.socket)
            // Of the owner's uid it needs none; but what is shown is looked at where rights are missing.
            let answer = try client.ask(
                .makeToken(TokenID(high: 1, low: UInt64(uses) + 1), id, TokenTerms(.attachRead)))
            #expect(answer == .done)
        }
        var client = try HandClient(at: registry.socket)
        #expect(try client.ask(.withdrawToken(secret)) == .tokenWithdrawn(tokens: 1, attachments: 0))
        try registry.restart()
        var last = try HandClient(at: registry.socket)
        #expect(try last.ask(.withdrawToken(secret)) == .refused(.noSuchToken))
        #expect(try registry.stop().status == 0)
    }

    @Test("a vault that stands still is waited for: nobody else has what it has")
    func standsStill() throws {
        var registry = try RunningRegistry()
        var owner = try HandClient(at: registry.socket)
        let id = try owner.register(kept: .registry, name: "frame")
        let vault = try registry.vaultProcess()
        // Longer than one that is new is waited for.
        let script = "kill -STOP \(vault); sleep 11; kill -CONT \(vault)"
        let sleeper = try Running(["sh", "-c", script])
        try wait { Sysfs.text("/proc/\(vault)/stat")?.contains(" T ") == true }
        try registry.restart()
        var client = try HandClient(at: registry.socket)
        #expect(try client.ask(.lookup("frame", uid: nil)) == .found(id, .first))
        _ = try sleeper.finish()
        #expect(try registry.stop().errors.contains("it is waited for"))
    }

    @Test("what nobody comes back for ends with the grace, and the vault lets go of it")
    func leftAlone() throws {
        var registry = try RunningRegistry()
        var owner = try HandClient(at: registry.socket)
        let before = Self.ownDescriptors
        for _ in 0..<20 { _ = try owner.register(kept: .owner) }
        let kept = try owner.register(kept: .registry)
        expectVault(registry, before + 21)
        try registry.restart()
        var client = try HandClient(at: registry.socket)
        guard case .listed(let all, _) = try client.ask(.list(from: 0)) else { throw Errno.badMessage }
        #expect(!all.isEmpty)
        expectVault(registry, before + 1)
        guard case .listed(let left, next: 0) = try client.ask(.list(from: 0)) else { throw Errno.badMessage }
        #expect(left.map(\.buffer) == [kept])
        #expect(try client.ask(.withdraw(kept)) == .done)
        expectVault(registry, before)
        #expect(try registry.stop().status == 0)
    }

    private static func vaultDescriptors(_ registry: borrowing RunningRegistry) -> Int {
        guard let process = try? registry.vaultProcess() else { return 0 }
        return openDescriptors(of: process).count
    }

    @Test("a journal that was torn counts as far as it is good, and the registry says so")
    func torn() throws {
        var registry = try RunningRegistry()
        var owner = try HandClient(at: registry.socket)
        let first = try owner.register(kept: .registry, name: "first")
        let folder = "/proc/\(try registry.vaultProcess())/fd"
        // It reads what it is sent when it has the time.
        var name: String?
        try wait {
            name = Folder.names(folder).first { name in
                String(decoding: (try? Sysfs.link("\(folder)/\(name)")) ?? [], as: UTF8.self).contains("journal")
            }
            return name != nil
        }
        let journal = try Descriptor.open("\(folder)/\(try #require(name))")
        let good = JournalReading(try journal.read(first: 1 << 20)).goodByteCount
        _ = try owner.register(kept: .registry, name: "second")
        try registry.restart { try journal.writeAll([0xff, 0xff], at: good + 20) }
        var client = try HandClient(at: registry.socket)
        #expect(try client.ask(.lookup("first", uid: nil)) == .found(first, .first))
        #expect(try client.ask(.lookup("second", uid: nil)) == .refused(.noSuchBuffer))
        #expect(try registry.stop().errors.contains("the journal was torn"))
    }

    /// It reads what it is sent when it has the time.
    private func expectVault(_ registry: borrowing RunningRegistry, _ count: Int) {
        let deadline = Deadline.after(.seconds(15))
        while Self.vaultDescriptors(registry) != count, !deadline.hasPassed { Clock.sleep(.milliseconds(5)) }
        let found = Self.vaultDescriptors(registry)
        #expect(found == count)
    }

    @Test("a registry that has lost its vault says so, and goes on; the next vault is given all that it must hold")
    func lost() throws {
        var registry = try RunningRegistry()
        let path = registry.socket + ".vault"
        var owner = try HandClient(at: registry.socket)
        // More than the queue to a vault takes at once.
        var all = Set(try (0..<600).map { _ in try owner.register(kept: .registry) })
        let vault = try registry.vaultProcess()
        // No other vault can listen while a folder is in its place.
        try registry.send(.stop)
        try PidFD(vault).send(SignalNumber.kill.rawValue)
        try FileType.remove(path)
        try Folder.create(path)
        try registry.send(.resume)
        try wait { try registry.run("stats").output.contains("surviving          0") }
        #expect(try registry.run("doctor", "--json").output.contains(#""id":"registry-survives","ok":false"#))
        all.insert(try owner.register(kept: .registry))
        Folder.remove(path)
        try wait { try registry.run("stats").output.contains("surviving          1") }
        #expect(try registry.run("doctor", "--json").output.contains(#""id":"registry-survives","ok":true"#))
        #expect(try registry.vaultProcess() != vault)
        all.insert(try owner.register(kept: .registry))
        expectVault(registry, Self.ownDescriptors + all.count)
        try registry.restart()
        #expect(try Self.listed(registry.socket) == all)
        let run = try registry.stop()
        #expect(run.status == 0 && run.errors.contains("lost=0"), "\(run.errors)")
    }

    @Test("whenever it is killed, another vault is there soon, and nothing that was answered is lost")
    func lostAgainAndAgain() throws {
        var registry = try RunningRegistry()
        var all: Set<BufferID> = []
        for round in 0..<5 {
            var owner = try HandClient(at: registry.socket)
            let killed = try registry.vaultProcess()
            try PidFD(killed).send(SignalNumber.kill.rawValue)
            // Before it is noticed, while there is none, and while the next one is filled.
            for _ in 0..<100 { all.insert(try owner.register(kept: .registry)) }
            try wait { (try? registry.vaultProcess()).map { $0 != killed } ?? false }
            try wait { try registry.run("stats").output.contains("surviving          1") }
            try registry.restart()
            #expect(try Self.listed(registry.socket) == all, "round \(round)")
        }
        #expect(try registry.stop().status == 0)
    }

    /// The streams, the listener, the poller, the registry's socket and process, the journal.
    private static let ownDescriptors = 8

    private static func listed(_ socket: String) throws -> Set<BufferID> {
        var client = try HandClient(at: socket)
        var (found, cursor): (Set<BufferID>, UInt32) = ([], 0)
        repeat {
            guard case .listed(let part, let next) = try client.ask(.list(from: cursor)) else { throw Errno.badMessage }
            found.formUnion(part.map(\.buffer))
            cursor = next
        } while cursor != 0
        return found
    }

    @Test("it may be elsewhere than beside the socket")
    func elsewhere() throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let place = "\(folder)/vault.sock"
        var registry = try RunningRegistry("--vault", place)
        let shared = try registry.run("share", "frame", "--from", "memfd", "--size", "4K", "--keep")
        #expect(shared.status == 0, "\(shared)")
        #expect(FileType(at: place) == .socket && FileType(at: registry.socket + ".vault") != .socket)
        try registry.restart()
        #expect(try registry.run("show", "frame").status == 0)
        #expect(try registry.run("serve", "--stop", "--vault", place).status == 0)
        #expect(FileType(at: place) != .socket)
        _ = try registry.stop()
    }

    @Test("the vault ends when it is told to, and when the file of its socket is gone")
    func ends() throws {
        let registry = try RunningRegistry()
        let vault = try PidFD(try registry.vaultProcess())
        #expect(try registry.run("share", "frame", "--keep", "--from", "memfd", "--size", "4K").status == 0)
        let stopped = try registry.run("serve", "--stop")
        #expect(stopped.status == 0, "\(stopped.errors)")
        #expect(try vault.hasEnded)
        #expect(try registry.run("serve", "--stop").status == 3)

        let second = try RunningRegistry()
        let left = try PidFD(try second.vaultProcess())
        _ = try second.run("share", "frame", "--keep", "--from", "memfd", "--size", "4K")
        #expect(try second.stop().status == 0)
        let deadline = Deadline.after(.seconds(5))
        while try !left.hasEnded, !deadline.hasPassed { Clock.sleep(.milliseconds(20)) }
        #expect(try left.hasEnded)
    }

    @Test("it serves one registry at a time, of its own user's or root's", .requires("root"))
    func strangers() throws {
        let registry = try RunningRegistry()
        let path = registry.socket + ".vault"
        _ = try registry.vaultProcess()
        // The mode keeps others out already; this is about what it asks the kernel.
        #expect(try FileType.permissions(path) == 0o600)
        _ = try Running(["chmod", "0666", path]).finish()
        try OwnUser.with(4242) {
            let socket = try UnixSocket.connect(to: path, until: .after(.seconds(5)))
            #expect(Self.answer(to: .adopt, socket) == nil)
        }
        let socket = try UnixSocket.connect(to: path, until: .after(.seconds(5)))
        #expect(Self.answer(to: .adopt, socket) == .busy)
        for bytes in [[], [0], [UInt8](repeating: 0xff, count: 40), [UInt8](repeating: 0, count: 4000)] as [[UInt8]] {
            let socket = try UnixSocket.connect(to: path, until: .after(.seconds(5)))
            var list = DescriptorList()
            list.append(try .open("/dev/null"))
            try? socket.send(bytes, with: list, until: .after(.seconds(5)))
            #expect(Self.answer(to: .drop(BufferID(high: 0, low: 1), .first), socket) == nil)
        }
        #expect(try registry.run("stats").output.contains("surviving          1"))
        #expect(try registry.stop().status == 0)
    }

    private static func answer(to message: VaultMessage, _ socket: borrowing UnixSocket) -> VaultMessage? {
        try? socket.send(message.encoded, with: DescriptorList(), until: .after(.seconds(5)))
        var bytes = [UInt8](repeating: 0, count: VaultMessage.byteCount)
        guard let received = try? socket.receive(into: &bytes, until: .after(.seconds(5))) else { return nil }
        return try? VaultMessage(
            decoding: bytes.span.extracting(first: received.byteCount), descriptorCount: received.descriptors.count)
    }
}
