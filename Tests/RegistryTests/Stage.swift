// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufConnection
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// A place for registries that take each other's place, by the build that can be made to die.
struct Stage: ~Copyable {
    private let folder: String
    let socket: String

    init() throws {
        folder = try TemporaryFolder.make()
        socket = "\(folder)/registry.sock"
    }

    deinit { TemporaryFolder.remove(folder) }

    /// It listens; whether it has begun to serve is not looked at, for that would be a client.
    func serve(failingAt step: String? = nil) throws -> Running {
        let daemon = try FailingTool.serve(at: socket, failingAt: step)
        try wait { FileType(at: socket) == .socket }
        return daemon
    }

    /// A vault that was there before the registry, so that this one alone is made to die.
    func vault(failingAt step: String) throws -> Running {
        let pair = try UnixSocket.pair()
        var list = DescriptorList()
        list.append(pair.second.intoDescriptor())
        let vault = try Running(
            [FailingTool.path ?? "", "registry-vault", "\(socket).vault"], environment: ["DMABUF_FAIL_AT": step],
            descriptors: list)
        try wait { FileType(at: "\(socket).vault") == .socket }
        return vault
    }

    func kill(_ daemon: consuming Running) throws {
        try daemon.send(.kill)
        _ = try daemon.finish()
        // So that the next one is seen to listen.
        try FileType.remove(socket)
    }

    /// Until what is registered would survive.
    func waitForVault() throws {
        try wait {
            let stats = try Running([FailingTool.path ?? "", "stats", "--socket", socket]).finish()
            return stats.output.contains("surviving          1")
        }
    }

    /// Of the registry and its vault nothing is left; what it has logged.
    @discardableResult
    func end(_ daemon: consuming Running, _ step: String) throws -> String {
        #expect(try Running([FailingTool.path ?? "", "serve", "--stop", "--socket", socket]).finish().status == 0)
        let run = try daemon.finish()
        #expect(run.status == 0, "\(step): \(run.errors)")
        let left = Folder.names("/proc").filter { process in
            let line = (try? Sysfs.bytes("/proc/\(process)/cmdline")) ?? []
            return String(decoding: line, as: UTF8.self).contains(folder)
        }
        #expect(left == [], "\(step): a process is left")
        return run.errors
    }
}

/// A client whose buffer outlives whoever serves.
struct Witness: ~Copyable {
    private static var limit: Deadline { .after(.seconds(20)) }

    private var registry: RegistryConnection
    private let buffer: BufferID
    private let attached: AttachedBuffer

    init(at socket: String, from exporter: String) throws {
        var registry = try Self.connection(to: socket)
        let memory = try ExporterBackend.open(exporter).export(.bytes(4096))
        let buffer = try registry.register(memory, kept: .owner, name: "kept", until: Self.limit).0
        attached = try registry.attach("kept", AttachTerms(.readWrite), until: Self.limit)
        self.registry = registry
        self.buffer = buffer
    }

    /// What has a file may not listen yet.
    private static func connection(to socket: String) throws -> RegistryConnection {
        let limit = limit
        while true {
            do throws(RegistryError) { return try RegistryConnection(at: socket, until: limit) } catch {
                guard case .noRegistry = error, !limit.hasPassed else { throw error }
                Clock.sleep(.milliseconds(2))
            }
        }
    }

    /// In the ten seconds that it has, whatever else there is to wait for.
    mutating func comeBack() throws { try registry.ask(.lookup("kept", uid: nil), until: Self.limit) }

    /// What it owns and is attached to is there; and what others had is not, once they have ended.
    mutating func goOn(_ step: String) throws {
        #expect(try registry.ask(.lookup("kept", uid: nil), until: Self.limit) == .found(buffer, .first), "\(step)")
        try registry.access(attached, .readWrite, until: Self.limit) { _ in }
        let deadline = Self.limit
        var all: [BufferID] = []
        repeat {
            guard case .listed(let found, _) = try registry.ask(.list(from: 0), until: Self.limit) else {
                throw Errno.badMessage
            }
            all = found.map(\.buffer)
        } while all != [buffer] && !deadline.hasPassed
        #expect(all == [buffer], "\(step)")
    }

    /// The next registry does not know its buffer, or not even the client, which hears of that.
    mutating func hasLost(_ step: String) throws {
        do throws(RegistryError) {
            try registry.ask(.lookup("kept", uid: nil), until: Self.limit)
            Issue.record("\(step): it goes on")
        } catch {
            switch error {
            case .connection(.closed), .ruledOut(.noSuchBuffer): break
            default: throw error
            }
        }
    }
}
