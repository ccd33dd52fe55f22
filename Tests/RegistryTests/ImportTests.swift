// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@testable import DMABufClient

@Suite("Imports are kept by buffer and generation", .leavesNoDescriptor)
struct ImportTests {
    private let limit = Deadline.after(.seconds(60))

    @Test("a buffer that is attached and mapped again is imported once, and gone with its last user")
    func once() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try owner.allocate(.bytes(8192), from: "memfd", name: "one", until: limit)
        let (other, _) = try owner.allocate(.bytes(8192), from: "memfd", until: limit)
        var client = try RegistryConnection(at: registry.socket, until: limit)
        let before = openDescriptors().count
        weak var memory: DMABuffer?
        do {
            let first = try client.attach(id, AttachTerms(.readWrite), until: limit)
            let second = try client.attach("one", AttachTerms(.read), until: limit)
            let third = try client.map(first.attachment, until: limit)
            #expect(first.attachment != second.attachment && third.attachment == first.attachment)
            #expect(first.imported === second.imported && first.imported === third.imported)
            let foreign = try client.attach(other, AttachTerms(.read), until: limit)
            #expect(foreign.imported !== first.imported)
            // One descriptor for each of the two.
            #expect(openDescriptors().count == before + 2)
            memory = first.buffer.memory[0]
        }
        #expect(memory == nil && openDescriptors().count == before)
        _ = try registry.stop()
    }

    @Test("a new generation takes the old one's place, which lives as long as somebody has it")
    func generations() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var client = try RegistryConnection(at: registry.socket, until: limit)
        let (id, first) = try owner.allocate(.bytes(8192), from: "memfd", until: limit)
        var attached = try client.attach(id, AttachTerms(.readWrite), until: limit)
        weak let old = attached.imported
        try owner.move(id, from: first, to: "memfd", until: limit)
        let mapped = try client.map(attached.attachment, until: limit)
        #expect(mapped.generation == first.next && mapped.imported !== attached.imported && old != nil)
        attached = mapped
        #expect(old == nil && client.imports.count == 1)
        let again = try client.attach(id, AttachTerms(.readWrite), until: limit)
        #expect(again.imported === attached.imported)
        _ = try registry.stop()
    }

    @Test("no more is remembered than the limit, and what is not is imported again")
    func bounded() throws {
        let registry = try RunningRegistry()
        var client = try RegistryConnection(at: registry.socket, until: limit)
        client.imports = ImportCache(limit: 4)
        var kept: [AttachedBuffer] = []
        for index in 0..<20 {
            let (id, _) = try client.allocate(.bytes(4096), from: "memfd", until: limit)
            let attached = try client.attach(id, AttachTerms(.read), until: limit)
            if index % 4 == 0 { kept.append(attached) }
            #expect(client.imports.count <= 4)
        }
        for attached in kept {
            let again = try client.map(attached.attachment, until: limit)
            #expect((again.imported === attached.imported) == (attached.attachment != kept[4].attachment))
            #expect(again.buffer.memory[0].inode == attached.buffer.memory[0].inode)
        }
        _ = try registry.stop()
    }

    @Test("tasks share their imports, too")
    func tasks() async throws {
        let registry = try RunningRegistry()
        let client = try RegistryClient(at: registry.socket, until: limit)
        let (id, _) = try await client.allocate(.bytes(8192), from: "memfd", until: limit)
        let first = try await client.attach(id, AttachTerms(.readWrite), until: limit)
        try await withThrowingTaskGroup(of: AttachedBuffer.self) { group in
            for _ in 0..<16 {
                group.addTask { try await client.attach(id, AttachTerms(.read), until: limit) }
            }
            for try await attached in group { #expect(attached.imported === first.imported) }
        }
        client.close()
        _ = try registry.stop()
    }
}
