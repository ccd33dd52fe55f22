// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufConnection
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

@Suite("A move, from the mover's side", .leavesNoDescriptor)
struct MovingTests {
    private static var soon: Deadline { .after(.seconds(5)) }

    @Test("with no holder, it is ready at once, and the new memory is the buffer's")
    func moves() throws {
        let registry = try RunningRegistry()
        var mover = try Mover(registry)
        let outcome = try mover.move { ready in
            #expect(ready.work == .ok && !ready.deadline.hasPassed)
        }
        #expect(outcome == .moved(Generation(2), cutOff: []))
        // What came meanwhile is still there to be heard.
        #expect(
            try mover.client.nextNotice(until: Self.soon)
                == .moving(mover.attached.attachment, mover.attached.id, .first))
        let mapped = try mover.client.map(mover.attached.attachment, until: Self.soon)
        #expect(mapped.generation == Generation(2))
        #expect(mapped.buffer.memory[0].inode == mover.target.memory[0].inode)
        _ = try registry.stop()
    }

    @Test("a copy that fails calls the move off, and the old memory goes on")
    func copyFails() throws {
        let registry = try RunningRegistry()
        var mover = try Mover(registry)
        do throws(RegistryError) {
            _ = try mover.move { (_) throws(DMABufError) in throw DMABufError(.failed, "no luck") }
            Issue.record("it moved")
        } catch {
            #expect(error.asError.message == "no luck")
        }
        #expect(try mover.client.map(mover.attached.attachment, until: Self.soon).generation == .first)
        _ = try registry.stop()
    }

    @Test("a commit that is answered too late has been taken all the same")
    func answeredLate() throws {
        let registry = try RunningRegistry()
        var mover = try Mover(registry)
        mover.client.answersWithin = .seconds(3)
        let process = registry.processID
        var goingOn: Running?
        var begun = Deadline.now()
        let outcome = try mover.move { _ in
            // It stands still for longer than its answer is waited for, and hears then that it may give up, too.
            goingOn = try? Running(["sh", "-c", "sleep 4; kill -CONT \(process)"])
            let isStopped = (try? PidFD(process).send(SignalNumber.stop.rawValue)) != nil
            #expect(isStopped)
            begun = .now()
        }
        #expect(outcome == .moved(Generation(2), cutOff: []) && Deadline.now() > begun.advanced(by: .seconds(3)))
        _ = try goingOn?.finish()
        _ = try registry.stop()
    }

    @Test("it can be stopped while others are waited for")
    func stopped() throws {
        let registry = try RunningRegistry()
        var mover = try Mover(registry)
        var holder = try RegistryConnection(at: registry.socket, until: Self.soon)
        let held = try holder.attach(mover.attached.id, AttachTerms(.read), until: Self.soon)
        try holder.ask(.beginAccess(held.attachment, held.generation, .read), until: Self.soon)
        try mover.stop.signal()
        let outcome = try mover.move(within: .seconds(10)) { _ in Issue.record("it was ready") }
        #expect(outcome == .aborted(.asked))
        _ = try registry.stop()
    }

    @Test("memory of another size is refused before anyone is disturbed")
    func wrongSize() throws {
        let registry = try RunningRegistry()
        var mover = try Mover(registry)
        let smaller = try MemFDExporter().export(.bytes(4096))
        do throws(RegistryError) {
            _ = try mover.move(to: smaller) { _ in }
            Issue.record("it moved")
        } catch {
            guard case .ruledOut(.wrongSize(expected: 8192)) = error else { throw error }
        }
        #expect(try mover.client.nextNotice(until: .now()) == nil)
        _ = try registry.stop()
    }

    @Test("an answer that comes too late is nobody's, and harms nothing")
    func lateAnswer() throws {
        let registry = try RunningRegistry()
        var mover = try Mover(registry)
        do throws(RegistryError) {
            try mover.client.ask(.list(from: 0), until: .now())
            // The answer was there already: nothing to see here.
        } catch {
            guard case .connection(.deadline) = error else { throw error }
        }
        let outcome = try mover.move { _ in }
        #expect(outcome == .moved(Generation(2), cutOff: []))
        _ = try registry.stop()
    }
}

/// A client that has registered a buffer and is attached to it, and memory for it to move to.
private struct Mover: ~Copyable {
    var client: RegistryConnection
    let attached: AttachedBuffer
    let target: DescribedBuffer
    let stop: EventFD

    init(_ registry: borrowing RunningRegistry) throws {
        let exporter = MemFDExporter()
        let deadline = Deadline.after(.seconds(5))
        var client = try RegistryConnection(withoutPagesAt: registry.socket, until: deadline)
        let (id, _) = try client.register(try exporter.export(.bytes(8192)), name: "frame", until: deadline)
        let attached = try client.attach(id, AttachTerms(.read), until: deadline)
        let target = try exporter.export(.bytes(8192))
        let stop = try EventFD()
        client.answersWithin = .seconds(5)
        self.client = client
        (self.attached, self.target) = (attached, target)
        self.stop = stop
    }

    mutating func move(
        to memory: DescribedBuffer? = nil, within: Interval = .milliseconds(200),
        _ copy: (RegistryConnection.ReadyToCopy) throws(DMABufError) -> Void
    ) throws(RegistryError) -> MoveOutcome {
        try client.move(
            attached, to: memory ?? target, MoveTerms(within: within), unless: stop.descriptor, copy: copy)
    }
}
