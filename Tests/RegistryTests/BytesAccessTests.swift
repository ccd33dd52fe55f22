// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("Bytes, in one call", .leavesNoDescriptor)
struct BytesAccessTests {
    private let limit = Deadline.after(.seconds(60))

    @Test("a memory that is not there is an error, and no access is left behind")
    func memoryIndex() async throws {
        let registry = try RunningRegistry()
        var connection = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try connection.allocate(.bytes(4096), from: "memfd", until: limit)
        var attached = try connection.attach(id, AttachTerms(.readWrite), until: limit)
        let client = try RegistryClient(at: registry.socket, until: limit)
        var theirs = try await client.attach(id, AttachTerms(.read), until: limit)
        for index in [-1, 1, 7] {
            #expect(throws: RegistryError.self) {
                try connection.withAccess(.write, to: &attached, memory: index) { $0.byteCount }
            }
            await #expect(throws: RegistryError.self) {
                try await client.withAccess(.read, to: &theirs, memory: index) { $0.byteCount }
            }
        }
        #expect(try registry.run("move", id.text, "--to", "memfd").status == 0)
        _ = try registry.stop()
    }

    @Test("an access that was cut off is lost, also where its client is inside another by then")
    func lostAmongOthers() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var holder = try RegistryConnection(withoutPagesAt: registry.socket, until: limit)
        let (id, generation) = try owner.allocate(.bytes(4096), from: "memfd", until: limit)
        let old = try holder.attach(id, AttachTerms(.readWrite), until: limit)
        let lost = try holder.beginAccess(old, .readWrite, until: limit)
        let terms = MoveTerms(within: .milliseconds(10), late: .cutOff, copier: .server, placement: "memfd")
        try owner.ask(.beginMove(id, generation, terms), until: limit)
        _ = try owner.nextNotice(until: limit) { if case .moveEnded = $0 { true } else { false } }
        let new = try holder.map(old.attachment, until: limit)
        let next = try holder.beginAccess(new, .readWrite, until: limit)
        let another = try holder.beginAccess(new, .readWrite, until: limit)
        _ = try holder.endAccess(next, until: limit)
        let state = try holder.endAccess(lost, until: limit)
        #expect(new.generation == generation.next && state == .revoked)
        _ = try holder.endAccess(another, until: limit)
        _ = try registry.stop()
    }

    @Test("what one writes another reads; the memory is mapped once, and unmapped with its last user")
    func bytes() throws {
        let registry = try RunningRegistry()
        var writer = try RegistryConnection(at: registry.socket, until: limit)
        var reader = try RegistryConnection(withoutPagesAt: registry.socket, until: limit)
        let (id, _) = try writer.allocate(.bytes(8192), from: "memfd", until: limit)
        let inode: UInt64
        do {
            var mine = try writer.attach(id, AttachTerms(.readWrite), until: limit)
            var theirs = try reader.attach(id, AttachTerms(.read), until: limit)
            inode = mine.buffer.memory[0].inode
            for round in UInt8(0)..<3 {
                try writer.withAccess(.write, to: &mine) { bytes in
                    for index in 0..<bytes.byteCount {
                        bytes.storeBytes(of: round, toByteOffset: index, as: UInt8.self)
                    }
                }
                let seen = try reader.withAccess(.read, to: &theirs) { checksum(of: $0) }
                let written = [UInt8](repeating: round, count: 8192)
                let expected = unsafe checksum(of: written.span.bytes)
                #expect(seen == expected)
                #expect(try mappings(of: inode) == 2)
            }
            // A mapping to write serves readers, too.
            let count = try writer.withAccess(.read, to: &mine) { $0.byteCount }
            #expect(try count == 8192 && mappings(of: inode) == 2)
        }
        #expect(try mappings(of: inode) == 0)
        _ = try registry.stop()
    }

    @Test("a fence that is pending is waited for, and named at the deadline; the body does not run")
    func fences() throws {
        let registry = try RunningRegistry()
        var writer = try RegistryConnection(at: registry.socket, until: limit)
        var reader = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try writer.allocate(.bytes(8192), from: "memfd", until: limit)
        let mine = try writer.attach(id, AttachTerms(.readWrite), until: limit)
        var theirs = try reader.attach(id, AttachTerms(.read), until: limit)
        try writer.ask(.reserve(mine.attachment, slots: 1), until: limit)
        let event = try EventFD()
        let fence = try Fence(adopting: try event.descriptor.duplicate())
        let added = try writer.add(
            fence, to: mine.attachment, FenceTerms(timeline: 1, point: 1, usage: .write, kind: .eventFD), until: limit)
        do throws(RegistryError) {
            try reader.withAccess(.read, to: &theirs, within: .milliseconds(50)) { _ in _ = Issue.record("it ran") }
            Issue.record("a pending fence was not waited for")
        } catch {
            guard case .ruledOut(.timedOut(let fences)) = error else { throw error }
            #expect(fences == [added])
        }
        try event.signal()
        #expect(try reader.withAccess(.read, to: &theirs) { $0.byteCount } == 8192)
        _ = try registry.stop()
    }

    private func connect(to socket: String, _ hasPages: Bool) throws -> RegistryConnection {
        if hasPages { return try RegistryConnection(at: socket, until: limit) }
        return try RegistryConnection(withoutPagesAt: socket, until: limit)
    }

    @Test("it follows moves by itself, and lets the old memory go", arguments: [true, false])
    func follows(hasPages: Bool) throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var client = try connect(to: registry.socket, hasPages)
        let (id, first) = try owner.allocate(.bytes(8192), from: "memfd", until: limit)
        var attached = try client.attach(id, AttachTerms(.readWrite), until: limit)
        try client.withAccess(.write, to: &attached) { bytes in Pattern.fill(&bytes) }
        let old = attached.buffer.memory[0].inode
        var generation = first
        for _ in 0..<3 {
            try owner.move(id, from: generation, to: "memfd", until: limit)
            generation = generation.next
            let seen = try client.withAccess(.read, to: &attached) { checksum(of: $0) }
            #expect(seen == Pattern.checksum(byteCount: 8192) && attached.generation == generation)
        }
        // What it has followed it keeps no word of.
        #expect(try client.nextNotice(until: .now()) == nil)
        #expect(try mappings(of: old) == 0)
        _ = try registry.stop()
    }

    @Test("what was granted after its wait was given up is given back: a move waits for nobody")
    func givenUp() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var client = try connect(to: registry.socket, false)
        client.answersWithin = .milliseconds(50)
        let (id, generation) = try owner.allocate(.bytes(4096), from: "memfd", until: limit)
        let attached = try client.attach(id, AttachTerms(.readWrite), until: limit)
        try registry.send(.stop)
        #expect(throws: RegistryError.self) {
            try client.ask(.beginAccess(attached.attachment, generation, .readWrite), until: .now())
        }
        try registry.send(.resume)
        client.answersWithin = .seconds(20)
        // The late answer comes before this one, and the way back leaves before it returns.
        try client.ask(.list(from: 0), until: limit)
        let terms = MoveTerms(within: .seconds(5))
        try owner.ask(.beginMove(id, generation, terms), until: limit)
        let ready = try owner.nextNotice(until: limit) { if case .readyToCopy = $0 { true } else { false } }
        #expect(ready != nil)
        try owner.ask(.abortMove(id, generation), until: limit)
        _ = try registry.stop()
    }

    @Test("an access that is lost throws, and the next one is good again", arguments: [true, false])
    func lost(hasPages: Bool) throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        var client = try connect(to: registry.socket, hasPages)
        let (id, first) = try owner.allocate(.bytes(8192), from: "memfd", until: limit)
        var attached = try client.attach(id, AttachTerms(.readWrite), until: limit)
        do throws(RegistryError) {
            try client.withAccess(.write, to: &attached) { bytes in
                bytes.storeBytes(of: 1, as: UInt8.self)
                let terms = MoveTerms(
                    within: .milliseconds(20), late: .cutOff, copier: .server, placement: "memfd")
                do {
                    try owner.ask(.beginMove(id, first, terms), until: limit)
                    let end = try owner.next(until: limit) { if case .moveEnded = $0 { true } else { false } }
                    #expect(end != nil)
                } catch { Issue.record("\(error)") }
            }
            Issue.record("what was written to memory that had been moved away counted")
        } catch {
            guard case .ruledOut(.revoked) = error else { throw error }
        }
        try client.withAccess(.write, to: &attached) { $0.storeBytes(of: 2, as: UInt8.self) }
        #expect(attached.generation == first.next)
        // What is taken back is not followed.
        try owner.ask(
            .revoke(id, RevokeTerms(.attachment(attached.attachment), within: .milliseconds(20))), until: limit)
        do throws(RegistryError) {
            try client.withAccess(.read, to: &attached) { _ in _ = Issue.record("it ran") }
        } catch {
            guard case .ruledOut(.revoked) = error else { throw error }
        }
        _ = try registry.stop()
    }

    private func checksum(of bytes: RawSpan) -> Checksum {
        var checksum = Checksum()
        checksum.add(bytes)
        return checksum
    }

    private func mappings(of inode: UInt64) throws -> Int {
        try ProcFS.mappings(of: Int(OwnProcess.processID)).count { $0.inode == inode && $0.path.hasPrefix("/memfd:") }
    }
}

extension BufferID {
    fileprivate var text: String {
        [high, low].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
