// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import Synchronization
import TestSupport
import Testing

/// Work of a device on several buffers. The device is a stand-in: an eventfd that the test signals.
@Suite("Work of a device", .leavesNoDescriptor)
struct DeviceWorkTests {
    private static var soon: Deadline { .after(.seconds(20)) }

    private func client(_ registry: borrowing RunningRegistry) throws -> RegistryConnection {
        try RegistryConnection(at: registry.socket, until: Self.soon)
    }

    private func share(_ names: String..., on registry: borrowing RunningRegistry) throws -> RegistryConnection {
        var owner = try client(registry)
        for name in names {
            let memory = try ExporterBackend.open("memfd").export(.bytes(4096))
            _ = try owner.register(memory, kept: .owner, name: name, until: Self.soon)
        }
        return owner
    }

    private func places(
        _ names: [(String, DMABufModel.Access)], _ client: inout RegistryConnection
    ) throws -> [WorkPlace] {
        try names.map { name, access in
            WorkPlace(
                try client.attach(name, AttachTerms(access == .read ? .read : .readWrite), until: Self.soon), access)
        }
    }

    @Test("work that takes longer than was promised is renewed whatever others do, and those who wait hear of one end")
    func renewal() throws {
        let registry = try RunningRegistry()
        var owner = try share("source", "destination", on: registry)
        var worker = try client(registry)
        var places = try places([("source", .read), ("destination", .write)], &worker)
        let work = try EventFence()
        let short = WorkPoint(1, within: .seconds(3))
        var promise = LastingPromise(of: short, on: places)
        try worker.submitWork(on: &places, as: short, until: Self.soon) { _ in work.fence }
        let attached = try owner.attach("destination", AttachTerms(.read), until: Self.soon)
        Clock.sleep(.milliseconds(1600))
        try owner.withLock(on: [attached.id], until: Self.soon) { (_, _) throws(RegistryError) in
            try promise.renew(&worker, until: Self.soon)
        }
        #expect(promise.end.remaining > .seconds(9))
        Clock.sleep(.milliseconds(1600))
        func status() throws -> FenceStatus? {
            let answer = try owner.ask(.snapshot(attached.attachment, .write), until: Self.soon)
            guard case .snapshot(let status, _) = answer else { return nil }
            return status
        }
        #expect(try status() == .pending)
        try work.signal()
        #expect(try owner.waitForFences(of: attached, .write, until: Self.soon) == .ok)
        _ = try registry.stop()
    }

    @Test("a move waits for what was promised and no longer, and who worked on learns that its time is over")
    func renewalDuringMove() throws {
        let registry = try RunningRegistry()
        var owner = try share("frame", on: registry)
        var worker = try client(registry)
        var places = try places([("frame", .write)], &worker)
        let work = try EventFence()
        let point = WorkPoint(1, within: .seconds(4))
        var promise = LastingPromise(of: point, on: places)
        try worker.submitWork(on: &places, as: point, until: Self.soon) { _ in work.fence }
        let (id, generation) = (places[0].attached.id, places[0].attached.generation)
        try owner.ask(.beginMove(id, generation, MoveTerms(within: .seconds(2))), until: Self.soon)
        Clock.sleep(.milliseconds(2100))
        let end = promise.end
        try promise.renew(&worker, until: Self.soon)
        #expect(promise.end.nanoseconds == end.nanoseconds)
        var hasCopied = false
        while let notice = try owner.nextNotice(until: .after(.seconds(20))) {
            guard case .readyToCopy(id, _, let status, _) = notice else { continue }
            #expect(status == .error(110))
            hasCopied = true
            break
        }
        #expect(hasCopied && end.hasPassed)
        #expect { try promise.renew(&worker, until: Self.soon) } throws: { error in
            if case RegistryError.ruledOut(.noSuchFence) = error { true } else { false }
        }
        _ = try registry.stop()
    }

    @Test("readers of what it writes wait for it, and so does who would write over what it reads")
    func promises() throws {
        let registry = try RunningRegistry()
        var owner = try share("source", "destination", on: registry)
        var worker = try client(registry)
        var places = try places([("source", .read), ("destination", .write)], &worker)
        let work = try EventFence()
        try worker.submitWork(on: &places, as: WorkPoint(1, within: .seconds(10)), until: Self.soon) { _ in work.fence }
        for (name, access, isFree) in [
            ("source", .read, true), ("source", .write, false), ("destination", .read, false),
            ("destination", .write, false),
        ] as [(String, DMABufModel.Access, Bool)] {
            let attached = try owner.attach(name, AttachTerms(.readWrite), until: Self.soon)
            do throws(RegistryError) {
                try owner.access(attached, access, until: .after(.milliseconds(100))) { _ in }
                #expect(isFree, "\(name) \(access)")
            } catch {
                guard case .ruledOut(.timedOut) = error else { throw error }
                #expect(!isFree, "\(name) \(access)")
            }
        }
        // It is no access: its buffers can be locked, and the memory moves once it is done.
        try owner.withLock(on: [places[0].attached.id], until: Self.soon) { _, _ in }
        try work.signal()
        for name in ["source", "destination"] {
            let attached = try owner.attach(name, AttachTerms(.readWrite), until: Self.soon)
            try owner.access(attached, .write, until: Self.soon) { _ in }
        }
        _ = try registry.stop()
    }

    @Test("it is given the present generation, and its promise is of that")
    func moved() throws {
        let registry = try RunningRegistry()
        var owner = try share("frame", on: registry)
        var worker = try client(registry)
        var places = try places([("frame", .write)], &worker)
        #expect(try registry.run("move", "frame", "--to", "memfd").status == 0)
        let inode = try owner.attach("frame", AttachTerms(.read), until: Self.soon).buffer.memory[0].inode
        try worker.submitWork(on: &places, as: WorkPoint(1), until: Self.soon) { buffers in
            #expect(buffers.map { $0.memory[0].inode } == [inode])
            return nil
        }
        #expect(places[0].attached.generation.rawValue == 2)
        _ = try registry.stop()
    }

    @Test("work that follows on work takes its place, and no more room")
    func follows() throws {
        let registry = try RunningRegistry()
        let owner = try share("frame", on: registry)
        var worker = try client(registry)
        var places = try places([("frame", .read)], &worker)
        var pending: [EventFence] = []
        // More than a buffer has slots.
        for point in UInt64(1)...100 {
            let work = try EventFence()
            pending.append(work)
            try worker.submitWork(on: &places, as: WorkPoint(point, within: .seconds(10)), until: Self.soon) { _ in
                work.fence
            }
        }
        for work in pending { try work.signal() }
        _ = consume owner
        _ = try registry.stop()
    }

    @Test("an error of the device's leaves no promise, no access and no lock")
    func fails() throws {
        let registry = try RunningRegistry()
        var owner = try share("source", "destination", on: registry)
        var worker = try client(registry)
        var places = try places([("source", .read), ("destination", .write)], &worker)
        #expect(throws: RegistryError.self) {
            try worker.submitWork(on: &places, as: WorkPoint(1), until: Self.soon) { _ throws(DMABufError) in
                throw DMABufError(.failed, "a device that is broken")
            }
        }
        for place in places {
            try owner.withLock(on: [place.attached.id], until: Self.soon) { _, _ in }
            let attached = try owner.attach(place.attached.id, AttachTerms(.readWrite), until: Self.soon)
            try owner.access(attached, .write, until: Self.soon) { _ in }
        }
        #expect(try registry.run("move", "source", "--to", "memfd").status == 0)
        _ = try registry.stop()
    }

    @Test("two who work on the same buffers, in whatever order, are never at work at once")
    func crossing() async throws {
        let registry = try RunningRegistry()
        let owner = try share("left", "right", on: registry)
        let socket = registry.socket
        let inside = Counter()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for names in [["left", "right"], ["right", "left"]] {
                group.addTask {
                    var worker = try RegistryConnection(at: socket, until: Self.soon)
                    var places = try names.map { name in
                        WorkPlace(try worker.attach(name, AttachTerms(.readWrite), until: Self.soon), .write)
                    }
                    for point in UInt64(1)...200 {
                        let work = try EventFence()
                        try worker.submitWork(on: &places, as: WorkPoint(point), until: Self.soon) { _ in
                            inside.enter()
                            return work.fence
                        }
                        inside.leave()
                        try work.signal()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(inside.most == 1)
        _ = consume owner
        _ = try registry.stop()
    }
}

/// How many are at work at once.
private final class Counter: Sendable {
    private let counts = Mutex((now: 0, most: 0))

    var most: Int { counts.withLock { $0.most } }

    func enter() {
        counts.withLock {
            $0.now += 1
            $0.most = max($0.most, $0.now)
        }
    }

    func leave() { counts.withLock { $0.now -= 1 } }
}
