// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

/// A client of the demo's registry that does what it is told, one word at a time, and checks what comes of it.
struct DemoImporter: ~Copyable {
    private var registry: RegistryConnection
    private var attached: AttachedBuffer?
    private var promise: EventFD?
    private static let name = "demo"

    init(_ registry: consuming RegistryConnection) {
        self.registry = registry
    }

    private var deadline: Deadline { .after(DemoChannel.patience) }
    private var checksum: Checksum { Pattern.checksum(byteCount: DemoOwner.byteCount) }

    mutating func run(_ channel: borrowing DemoChannel) throws {
        while true {
            let word = try channel.receive()
            switch word {
            case "attach": try channel.step("attach") { try attach() }
            case "hold":
                try channel.step("hold") { try hold() }
                try channel.send("done hold")
                try letGo(channel)
                continue
            case "follow": try channel.step("follow") { try follow() }
            case "promise": try channel.step("fence") { try addFence() }
            case "wait":
                try channel.send("done wait")
                try channel.step("fenced hand-over") { try waitForFence() }
                try channel.send("waited")
                continue
            case "keep":
                // The other side is waiting meanwhile; let it wait a moment.
                Clock.sleep(.milliseconds(20))
                try promise?.signal()
                try channel.send("kept")
                continue
            case "orphaned": try channel.step("survive owner") { try ownerGone() }
            case "alone": try channel.step("survive registry") { try readAlone() }
            case "end": return
            default: throw DemoFailure("told to \(word)")
            }
            try channel.send("done \(word)")
        }
    }

    private mutating func attach() throws -> String {
        let buffer = try registry.attach(Self.name, AttachTerms(.readWrite), until: deadline)
        attached = buffer
        try verify(buffer)
        return "generation \(buffer.generation.rawValue), \(buffer.buffer.memory[0].exporterName), content equal"
    }

    private func present() throws -> AttachedBuffer {
        guard let attached else { throw DemoFailure("not attached") }
        return attached
    }

    private func verify(_ buffer: AttachedBuffer) throws {
        guard try buffer.buffer.checksum() == checksum else { throw DemoFailure("other bytes than were written") }
    }

    private mutating func hold() throws -> String {
        let attached = try present()
        try registry.ask(.beginAccess(attached.attachment, attached.generation, .read), until: deadline)
        return "inside an access of generation \(attached.generation.rawValue)"
    }

    /// Until it is asked, or killed.
    private mutating func letGo(_ channel: borrowing DemoChannel) throws {
        let attached = try present()
        while let notice = try registry.nextNotice(until: deadline) {
            guard case .invalidate(attached.attachment, _, let generation, _) = notice else { continue }
            try channel.step("let go") {
                try registry.acknowledge(attached.attachment, generation, until: deadline)
                return "asked to, the access has ended and the memory is let go"
            }
            return try channel.send("let go")
        }
        throw DemoFailure("nobody asked to let go")
    }

    private mutating func follow() throws -> String {
        let old = try present()
        let new = try registry.map(old.attachment, until: deadline)
        guard new.generation > old.generation, !new.buffer.memory[0].isSameMemory(as: old.buffer.memory[0]) else {
            throw DemoFailure("the same memory as before the move")
        }
        attached = new
        try verify(new)
        return "mapped generation \(new.generation.rawValue), \(new.buffer.memory[0].exporterName), content equal"
    }

    private mutating func addFence() throws -> String {
        let attached = try present()
        let event = try EventFD()
        let fence = try Fence(adopting: event.descriptor.duplicate())
        try registry.ask(.reserve(attached.attachment, slots: 1), until: deadline)
        _ = try registry.add(
            fence, to: attached.attachment,
            FenceTerms(timeline: 1, point: 1, usage: .write, kind: .eventFD, within: .seconds(8)), until: deadline)
        promise = consume event
        return "promises that its write ends within 8 s"
    }

    private mutating func waitForFence() throws -> String {
        let attached = try present()
        let start = Deadline.now()
        let answer = try registry.ask(.wait(attached.attachment, .write, within: .seconds(8)), until: deadline)
        guard answer == .waited(.ok) else { throw DemoFailure("the wait ended otherwise: \(answer)") }
        try verify(attached)
        let waited = Deadline.now().nanoseconds - start.nanoseconds
        return "waited \(humanTime(.nanoseconds(Int64(waited)))) for the other's fence, then read"
    }

    private mutating func ownerGone() throws -> String {
        let attached = try present()
        while let notice = try registry.nextNotice(until: deadline) {
            guard case .ownerGone(attached.attachment, _) = notice else { continue }
            let new = try registry.map(attached.attachment, until: deadline)
            self.attached = new
            try verify(new)
            return "told once that its owner is gone; content equal"
        }
        throw DemoFailure("nobody said that the owner is gone")
    }

    private mutating func readAlone() throws -> String {
        do throws(RegistryError) {
            try registry.ask(.list(from: 0), until: deadline)
        } catch {
            guard case .connection = error else { throw error }
            try verify(try present())
            return "the registry is gone (\(error.asError.message)); the memory is still there, content equal"
        }
        throw DemoFailure("a dead registry answered")
    }
}

/// The client that has the registry make the buffer, and is killed.
enum DemoOwner {
    static let byteCount = 1 << 20

    static func run(_ channel: borrowing DemoChannel, _ registry: inout RegistryConnection, exporter: String) throws {
        let deadline = Deadline.after(DemoChannel.patience)
        try channel.step("allocate") {
            let (id, generation) = try registry.allocate(
                .bytes(UInt64(byteCount)), from: exporter, name: "demo", until: deadline)
            let attached = try registry.attach(id, AttachTerms(.readWrite), until: deadline)
            try registry.access(attached, .readWrite, until: deadline) { (buffer) throws(DMABufError) in
                _ = try buffer.fill(from: "pattern")
            }
            try registry.ask(.detach(attached.attachment), until: deadline)
            return
                "the registry made \(humanBytes(UInt64(byteCount))) with \(exporter); written, generation \(generation.rawValue)"
        }
        try channel.send("ready")
        _ = try? channel.receive()  // until SIGKILL, or the supervisor's own end
    }
}
