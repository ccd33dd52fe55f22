// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage

/// The second act: the same memory through the registry, with an owner and three importers, each a process of its own. It
/// moves under them, is pinned, fenced, and each party is killed in turn.
struct DemoRegistry: ~Copyable {
    private let exporter: String
    /// Where the buffer moves to, and back.
    private let other: String
    /// Of our own, with the socket; nil where that is others' to see.
    private let folder: String?
    private let socket: String
    private let registry: ChildProcess
    private var mover: RegistryConnection
    private static let name = "demo"

    /// Starts a registry of our own, at a socket that nobody else knows unless one is named.
    init(exporter: String, socket place: String?) throws {
        let folder = place == nil ? "/tmp/dmabuf-share-demo-\(OwnProcess.processID)" : nil
        if let folder { try Folder.create(folder) }
        let socket = place ?? "\(folder ?? "")/registry.sock"
        let registry = try ChildProcess(
            CommandWord.words([
                OwnProcess.executablePath, "serve", "--no-vault", "--log", "error", "--socket", socket, "--end-with",
                "\(OwnProcess.processID)",
            ]),
            environment: OwnProcess.environment, descriptors: DescriptorList())
        mover = try Self.connect(to: socket, of: registry.processID)
        self.exporter = exporter
        other = Self.another(than: exporter)
        self.folder = folder
        self.socket = socket
        self.registry = registry
    }

    /// Joins that one, and no other that may serve there meanwhile.
    private static func connect(to path: String, of process: Int32) throws -> RegistryConnection {
        let deadline = Deadline.after(DemoChannel.patience)
        while !deadline.hasPassed {
            if let socket = try? UnixSocket.connect(to: path, until: deadline), try socket.peer.process == process {
                return try RegistryConnection(socket, until: deadline)
            }
            Clock.sleep(.milliseconds(2))
        }
        throw DemoFailure("the registry did not start at \(path)")
    }

    /// Another real exporter if there is one; else the same, in new memory.
    private static func another(than exporter: String) -> String {
        // Of the same size: what makes large buffers alone makes others.
        let all = ExporterBackend.probeAll().filter { attempt in
            (try? attempt.result.get()).map { $0.offer.leastSize == nil } ?? false
        }.map(\.name)
        return all.first { $0 != exporter && $0 != "memfd" } ?? exporter
    }

    private var deadline: Deadline { .after(DemoChannel.patience) }

    consuming func play(_ log: inout DemoLog) throws {
        let owner = try DemoProcess("owner", exporter: exporter, registry: socket)
        let first = try DemoProcess("importer", exporter: exporter, registry: socket)
        let second = try DemoProcess("importer", exporter: exporter, registry: socket)
        let third = try DemoProcess("importer", exporter: exporter, registry: socket)
        do {
            try log.follow(owner, until: "ready")
            for importer in [0, 1, 2] {
                switch importer {
                case 0: try log.ask(first, "attach")
                case 1: try log.ask(second, "attach")
                default: try log.ask(third, "attach")
                }
            }
            try log.add("move vetoed") { try pinnedMoveIsRefused() }
            try log.ask(first, "hold")
            try log.add("move") { try move(to: other, generation: 1) }
            try log.follow(first, until: "let go")
            try log.ask(first, "follow")
            try log.ask(second, "follow")
            try log.ask(third, "follow")
            try log.ask(first, "promise")
            try log.ask(second, "wait")
            try first.channel.send("keep")
            try log.follow(first, until: "kept")
            try log.follow(second, until: "waited")
            try log.ask(third, "hold")
            try log.add("kill importer") {
                let told = try moveUnder(killing: third)
                return told
            }
            try log.add("kill owner") {
                _ = try owner.kill()
                return "the owner; the buffer lives on for those who are attached"
            }
            try log.ask(second, "orphaned")
            try log.add("kill registry") {
                try registry.send(.kill)
                guard try registry.wait(until: deadline) == .killed(signal: 9) else {
                    throw DemoFailure("the registry did not die of SIGKILL")
                }
                return "the registry, with SIGKILL; what was passed stays valid"
            }
            try log.ask(second, "alone")
            try first.channel.send("end")
            try second.channel.send("end")
            _ = try first.wait()
            _ = try second.wait()
        } catch {
            log.fail((error as? DemoFailure)?.text ?? (error as? RegistryError)?.asError.message ?? "\(error)")
        }
        for process in [0, 1, 2, 3] {
            switch process {
            case 0: owner.abandon()
            case 1: first.abandon()
            case 2: second.abandon()
            default: third.abandon()
            }
        }
        try? registry.send(.kill)
        _ = try? registry.wait(until: .after(.seconds(2)))
        // Another may serve there by now.
        if (try? UnixSocket.connect(to: socket, until: .after(.milliseconds(100))).peer) == nil {
            try? FileType.remove(socket)
        }
        if let folder { Folder.remove(folder) }
    }

    /// Whoever pins vetoes, and is named.
    private mutating func pinnedMoveIsRefused() throws -> String {
        let pinned = try mover.attach(Self.name, AttachTerms(.read, .pinned), until: deadline)
        do throws(RegistryError) {
            try mover.ask(.beginMove(pinned.id, pinned.generation, MoveTerms(within: .seconds(1))), until: deadline)
        } catch {
            guard case .ruledOut(.pinned(let holders)) = error, holders.map(\.attachment) == [pinned.attachment] else {
                throw error
            }
            try mover.ask(.detach(pinned.attachment), until: deadline)
            return "refused: \(error.asError.message)"
        }
        throw DemoFailure("a pinned buffer was moved")
    }

    private mutating func move(to exporter: String, generation: UInt64) throws -> String {
        guard case .found(let id, _) = try mover.ask(.lookup(Self.name, uid: nil), until: deadline) else {
            throw DemoFailure("the buffer has no name")
        }
        let terms = MoveTerms(within: .seconds(5), copier: .server, placement: exporter)
        try mover.ask(.beginMove(id, Generation(generation), terms), until: deadline)
        return try outcome(generation + 1, exporter)
    }

    private mutating func outcome(_ generation: UInt64, _ exporter: String) throws -> String {
        while let notice = try mover.nextNotice(until: deadline) {
            guard case .moveEnded(_, let outcome) = notice else { continue }
            guard case .moved(Generation(generation), cutOff: []) = outcome else {
                throw DemoFailure("the move ended otherwise: \(outcome)")
            }
            return "to \(exporter), generation \(generation); the holder let go first, nobody was cut off"
        }
        throw DemoFailure("the move did not end")
    }

    /// The holder is asked to let go, and dies instead: the move goes on at once.
    private mutating func moveUnder(killing holder: borrowing DemoProcess) throws -> String {
        guard case .found(let id, let generation) = try mover.ask(.lookup(Self.name, uid: nil), until: deadline) else {
            throw DemoFailure("the buffer has no name")
        }
        let terms = MoveTerms(within: .seconds(10), copier: .server, placement: exporter)
        try mover.ask(.beginMove(id, generation, terms), until: deadline)
        _ = try holder.kill()
        _ = try outcome(generation.next.rawValue, exporter)
        return "inside an access, asked to let go; the move back to \(exporter) did not wait for it"
    }
}

extension DemoLog {
    /// Tells a process what to do, and waits until it says that it has.
    mutating func ask(_ process: borrowing DemoProcess, _ what: String) throws {
        try process.channel.send(what)
        try follow(process, until: "done \(what)")
    }
}
