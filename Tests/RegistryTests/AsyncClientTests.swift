// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufConnection
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

@Suite("The client for concurrent tasks", .leavesNoDescriptor)
struct AsyncClientTests {
    private let limit = Deadline.after(.seconds(60))

    @Test("many requests are under way at once, and each has its own answer")
    func concurrency() async throws {
        let registry = try RunningRegistry()
        let client = try RegistryClient(at: registry.socket, until: limit)
        let buffers = try await withThrowingTaskGroup(of: (Int, BufferID).self) { group in
            for index in 0..<50 {
                group.addTask {
                    let buffer = try MemFDExporter().export(.bytes(UInt64(4096 * (index + 1))))
                    return (index, try await client.register(buffer, name: "b\(index)", until: limit).0)
                }
            }
            return try await group.reduce(into: [Int: BufferID]()) { $0[$1.0] = $1.1 }
        }
        #expect(Set(buffers.values).count == 50)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, id) in buffers {
                group.addTask {
                    let attached = try await client.attach("b\(index)", AttachTerms(.read), until: limit)
                    #expect(attached.id == id)
                    #expect(attached.buffer.memory[0].byteCount == UInt64(4096 * (index + 1)))
                    try await client.ask(.detach(attached.attachment), until: limit)
                }
            }
            try await group.waitForAll()
        }
        client.close()
        _ = try registry.stop()
    }

    @Test("a request that waits holds up no other, and ends at its deadline or with its task")
    func deadlines() async throws {
        let registry = try RunningRegistry()
        let client = try RegistryClient(at: registry.socket, until: limit)
        let buffer = try MemFDExporter().export(.bytes(4096))
        let (id, _) = try await client.register(buffer, until: limit)
        let attached = try await client.attach(id, AttachTerms(.readWrite), until: limit)
        try await client.ask(.reserve(attached.attachment, slots: 1), until: limit)
        let event = try EventFD()
        let fence = try Fence(adopting: event.descriptor.duplicate())
        _ = try await client.add(
            fence, to: attached.attachment,
            FenceTerms(timeline: 1, point: 1, usage: .write, kind: .eventFD, within: .seconds(10)), until: limit)
        let wait = Request.wait(attached.attachment, .write, within: .seconds(10))
        async let late: Answer = client.ask(wait, until: .after(.milliseconds(50)))
        async let long: Answer = client.ask(wait, until: limit)
        #expect(try await client.ask(.list(from: 0), until: limit) != .done)
        do {
            _ = try await late
            Issue.record("a wait went past its deadline")
        } catch RegistryError.connection(.deadline) {}
        let cancelled = Task { try await client.ask(wait, until: limit) }
        cancelled.cancel()
        await #expect(throws: RegistryError.self) { try await cancelled.value }
        try event.signal()
        #expect(try await long == .waited(.ok))
        client.close()
        _ = try registry.stop()
    }

    @Test("notices come in order, and end with the connection, as does all that is awaited")
    func notices() async throws {
        let registry = try RunningRegistry()
        let owner = try RegistryClient(at: registry.socket, until: limit)
        let importer = try RegistryClient(at: registry.socket, until: limit)
        let (id, generation) = try await owner.allocate(.bytes(4096), from: "memfd", until: limit)
        let attached = try await importer.attach(id, AttachTerms(.readWrite), until: limit)
        let terms = MoveTerms(within: .seconds(1), copier: .server, placement: "memfd")
        try await owner.ask(.beginMove(id, generation, terms), until: limit)
        var told: [Notice] = []
        for await notice in importer.notices {
            told.append(notice.notice)
            if told.count == 2 { break }
        }
        #expect(
            told == [
                .moving(attached.attachment, id, generation), .moved(attached.attachment, id, generation.next),
            ])
        #expect(try await importer.map(attached.attachment, until: limit).generation == generation.next)
        _ = try registry.stop()
        for await _ in owner.notices {}
        await #expect(throws: RegistryError.self) { try await owner.ask(.list(from: 0), until: limit) }
    }
}
