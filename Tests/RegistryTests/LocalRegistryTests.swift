// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufServer
import DMABufSystem
import Logging
import TestSupport
import Testing

@Suite("A registry in one process", .leavesNoDescriptor)
struct LocalRegistryTests {
    private static var soon: Deadline { .after(.seconds(20)) }

    private func start() throws -> LocalRegistry {
        try LocalRegistry(log: Logger(label: "registry", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    private func client(of registry: borrowing LocalRegistry) throws -> RegistryConnection {
        try RegistryConnection(registry.connect(), until: Self.soon)
    }

    @Test("it is the same registry: pages, fences, locks, a move under a holder, the end of a client")
    func same() throws {
        let registry = try start()
        var owner = try client(of: registry)
        var other = try client(of: registry)
        let memory = try ExporterBackend.open("memfd").export(.bytes(4096))
        let (id, generation) = try owner.register(memory, kept: .owner, name: "frame", until: Self.soon)
        var attached = try other.attach("frame", AttachTerms(.readWrite), until: Self.soon)
        try other.withAccess(.write, to: &attached) { $0.storeBytes(of: 7, toByteOffset: 0, as: UInt8.self) }

        let work = try EventFence()
        var places = [WorkPlace(attached, .write)]
        try other.submitWork(on: &places, as: WorkPoint(1), until: Self.soon) { _ in work.fence }
        #expect(throws: RegistryError.self) {
            let mine = try owner.attach(id, AttachTerms(.read), until: Self.soon)
            try owner.access(mine, .read, until: .after(.milliseconds(50))) { _ in }
        }
        try work.signal()

        let access = try other.beginAccess(attached, .write, until: Self.soon)
        try owner.ask(.beginMove(id, generation, MoveTerms(within: .seconds(5))), until: Self.soon)
        _ = try other.endAccess(access, until: Self.soon)
        let ready = try owner.nextNotice(until: Self.soon) { if case .readyToCopy = $0 { true } else { false } }
        #expect(ready != nil)
        let next = try ExporterBackend.open("memfd").export(.bytes(4096))
        try owner.commitMove(of: id, from: generation, to: next, until: Self.soon)
        attached = try other.map(attached.attachment, until: Self.soon)
        #expect(attached.generation == generation.next)

        owner = try client(of: registry)
        let end = try other.nextNotice(until: Self.soon) { if case .attachmentEnded = $0 { true } else { false } }
        #expect(end != nil)
        #expect(throws: RegistryError.self) { try owner.ask(.lookup("frame", uid: nil), until: Self.soon) }
    }

    @Test("its end is told, and leaves nothing")
    func end() throws {
        let registry = try start()
        var client = try client(of: registry)
        let memory = try ExporterBackend.open("memfd").export(.bytes(4096))
        _ = try client.register(memory, kept: .registry, name: "frame", until: Self.soon)
        _ = consume registry
        #expect(throws: RegistryError.self) { try client.ask(.lookup("frame", uid: nil), until: Self.soon) }
    }

    @Test("tasks use it too")
    func tasks() async throws {
        let registry = try start()
        let client = try RegistryClient(client(of: registry))
        let memory = try ExporterBackend.open("memfd").export(.bytes(4096))
        let (id, generation) = try await client.register(memory, name: "frame", until: Self.soon)
        #expect(try await client.ask(.lookup("frame", uid: nil), until: Self.soon) == .found(id, generation))
        client.close()
    }
}
