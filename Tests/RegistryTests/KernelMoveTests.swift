// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// The registry makes buffers, and moves them from one exporter to the next by itself.
@Suite("Moves by the registry", .leavesNoDescriptor)
struct KernelMoveTests {
    private let limit = Deadline.after(.seconds(240))

    @Test("the content is equal after every move, and the old memory is free")
    func throughEveryExporter() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var importer = try RegistryConnection(at: registry.socket, until: limit)
        let exporters = Backends.realExporters + ["memfd"]
        let (id, first) = try owner.allocate(.bytes(65536), from: exporters[0], name: "moved", until: limit)
        var attached = try importer.attach("moved", AttachTerms(.readWrite), until: limit)
        #expect(attached.generation == first)
        try attached.buffer.memory[0].fillWithPattern()
        for (index, exporter) in (exporters.dropFirst() + [exporters[0]]).enumerated() {
            let old = attached.buffer.memory[0].memoryNumber
            try owner.move(id, from: attached.generation, to: exporter, until: limit)
            #expect(try importer.next(until: limit) { if case .moved = $0 { true } else { false } } != nil)
            attached = try importer.map(attached.attachment, until: limit)
            #expect(attached.generation.rawValue == UInt64(index + 2))
            let memory = attached.buffer.memory[0]
            #expect(memory.memoryNumber != old && memory.byteCount == 65536)
            #expect(try memory.hasPattern(), "\(exporter)")
            // Nobody holds the old memory any more: it is released, and where the count tells, that is proved.
            let released = try owner.next(until: limit) { if case .released = $0 { true } else { false } }
            #expect(released != nil, "\(exporter)")
        }
        #expect(try owner.ask(.withdraw(id), until: limit) == .done)
        let log = try registry.stop().errors
        #expect(!log.contains("a worker failed"), "\(log)")
    }

    @Test("a holder is waited for, a late one is cut off and learns that its writes are lost")
    func holders() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var holder = try RegistryConnection(at: registry.socket, until: limit)
        let (id, generation) = try owner.allocate(.bytes(4096), from: "memfd", name: "held", until: limit)
        let attached = try holder.attach("held", AttachTerms(.readWrite), until: limit)
        try holder.ask(.beginAccess(attached.attachment, generation, .write), until: limit)
        let terms = MoveTerms(within: .milliseconds(100), late: .cutOff, copier: .server, placement: "memfd")
        try owner.ask(.beginMove(id, generation, terms), until: limit)
        // It says nothing.
        let end = try owner.next(until: limit) { if case .moveEnded = $0 { true } else { false } }
        guard case .moveEnded(id, .moved(generation.next, let cutOff)) = end else { throw Errno.invalidArgument }
        #expect(cutOff.map(\.attachment) == [attached.attachment])
        #expect(try holder.ask(.endAccess(attached.attachment), until: limit) == .accessEnded(.revoked))
        let again = try holder.map(attached.attachment, until: limit)
        #expect(again.generation == generation.next)
        _ = try registry.stop()
    }

    @Test("a copy that cannot be made aborts the move, and the old generation goes on")
    func noSuchExporter() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        let (id, generation) = try owner.allocate(.bytes(4096), from: "memfd", until: limit)
        let terms = MoveTerms(within: .seconds(1), copier: .server, placement: "heap:no-such-heap")
        try owner.ask(.beginMove(id, generation, terms), until: limit)
        let end = try owner.next(until: limit) { if case .moveEnded = $0 { true } else { false } }
        #expect(end == .moveEnded(id, .aborted(.copyFailed)))
        #expect(try owner.attach(id, AttachTerms(.read), until: limit).generation == generation)
        _ = try registry.stop()
    }

    /// Memfds and dma-bufs are numbered by two filesystems: the same inode number is not the same memory.
    @Test("a stand-in moves to a dma-buf that happens to have its number", .requires("udmabuf"))
    func sameNumber() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var (first, second) = (try Backends.bytes(4096, from: "memfd"), try Backends.bytes(4096, from: "udmabuf"))
        // Whichever counter is behind catches up.
        for _ in 0..<200_000 where first.inode != second.inode {
            if first.inode < second.inode {
                first = try Backends.bytes(4096, from: "memfd")
            } else {
                second = try Backends.bytes(4096, from: "udmabuf")
            }
        }
        try #require(first.inode == second.inode)
        #expect(!first.isSameMemory(as: second))
        let old = try DescribedBuffer(.bytes(4096), memory: [first])
        let new = try DescribedBuffer(.bytes(4096), memory: [second])
        try old.checkCopy(into: new)
        let (id, generation) = try owner.register(old, until: limit)
        try owner.ask(.beginMove(id, generation, MoveTerms(within: .seconds(5))), until: limit)
        try owner.commitMove(of: id, from: generation, to: new, until: limit)
        let end = try owner.next(until: limit) { if case .moveEnded = $0 { true } else { false } }
        #expect(end == .moveEnded(id, .moved(generation.next, cutOff: [])))
        _ = try registry.stop()
    }
}

extension RegistryConnection {
    /// The next notice that is meant; others are passed over.
    mutating func next(until deadline: Deadline, _ isMeant: (Notice) -> Bool) throws -> Notice? {
        while let notice = try nextNotice(until: min(deadline, .after(.seconds(20)))) {
            if isMeant(notice) { return notice }
        }
        return nil
    }

    mutating func move(_ id: BufferID, from generation: Generation, to exporter: String, until deadline: Deadline)
        throws
    {
        let terms = MoveTerms(within: .seconds(5), copier: .server, placement: exporter)
        try ask(.beginMove(id, generation, terms), until: deadline)
        let end = try next(until: deadline) { if case .moveEnded = $0 { true } else { false } }
        guard case .moveEnded(id, .moved(generation.next, cutOff: [])) = end else {
            Issue.record("to \(exporter): \(String(describing: end))")
            return
        }
    }
}

extension DMABuffer {
    func fillWithPattern() throws {
        var mapping = try CPUImporter().attach(self, for: .readWrite).map()
        try mapping.withWriteAccess { Pattern.fill(&$0) }
    }

    func hasPattern() throws -> Bool {
        let mapping = try CPUImporter().attach(self, for: .read).map()
        return try mapping.withReadAccess { bytes in
            var checksum = Checksum()
            checksum.add(bytes)
            return checksum == Pattern.checksum(byteCount: Int(byteCount))
        }
    }
}
