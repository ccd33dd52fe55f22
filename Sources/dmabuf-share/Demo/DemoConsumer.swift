// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

/// The process that takes the buffer, waits, reads, imports, and outlives the producer.
enum DemoConsumer {
    static func run(_ channel: borrowing DemoChannel, _ peer: inout BufferPeer) throws {
        let offer = try receive(channel, &peer)
        try channel.step("fence pending") { try expectPending(offer) }
        try channel.send("ready")
        try channel.step("fence") {
            try offer.waitForFences(before: .read)
            return try expectSignalled(offer)
        }
        try channel.step("read") { try verify(offer) }
        for attempt in ImporterBackend.probeAll() { try importing(channel, attempt, offer) }
        try channel.send("holding")
        guard try channel.receive() == "killed" else { throw DemoFailure("told something else than the kill") }
        try channel.step("survive") { "the producer is dead, its memory is not: \(try verify(offer))" }
        try channel.step("release") { try expectLastReference(offer.buffer.memory[0]) }
    }

    private static func receive(_ channel: borrowing DemoChannel, _ peer: inout BufferPeer) throws -> ReceivedOffer {
        var received: ReceivedOffer?
        try channel.step("receive") {
            let offer = try peer.nextOffer(until: .after(DemoChannel.patience))
            received = offer
            let what = offer.buffer.kind == .dmaBuf ? "a dma-buf of \(offer.buffer.memory[0].exporterName)" : "a memfd"
            return "\(what), identified; its description fits its size"
        }
        guard let offer = received else { throw DemoFailure("no offer") }
        return offer
    }

    /// The writer has not finished: both oracles say pending, and a wait with a short deadline ends without a result.
    private static func expectPending(_ offer: ReceivedOffer) throws -> String {
        guard let fence = offer.fences.first?.fence else { throw DemoFailure("no fence came with the buffer") }
        guard try fence.status() == .pending else { throw DemoFailure("the fence says that it is not pending") }
        do throws(DMABufError) {
            try fence.wait(until: .after(.milliseconds(20)))
        } catch {
            guard error.code == .deadline else { throw error }
            guard fence.kind == .syncFile else {
                return "\(error.message) (an eventfd: no vgem here for a kernel fence)"
            }
            return try expectBusy(offer.buffer.memory[0], error.message)
        }
        throw DemoFailure("a wait for a pending fence came back")
    }

    /// The kernel's reservation has the fence too, so a reader that knows nothing of ours waits as well.
    private static func expectBusy(_ buffer: DMABuffer, _ message: String) throws -> String {
        guard try buffer.fence(waitingBefore: .read)?.status() == .pending else {
            throw DemoFailure("the kernel's reservation does not hold the writer's fence")
        }
        let mapping = try CPUImporter().attach(buffer, for: .read).map()
        do throws(DMABufError) {
            try mapping.withReadAccess(within: .milliseconds(20)) { _ in }
        } catch {
            guard error.code == .deadline else { throw error }
            return message
        }
        throw DemoFailure("a read of a buffer that is being written did not wait")
    }

    /// Poll has said so; the sync_file must say the same, and the kernel's reservation must be idle.
    private static func expectSignalled(_ offer: ReceivedOffer) throws -> String {
        for promise in offer.fences {
            guard try promise.fence.status() == .signalled else {
                throw DemoFailure("the fence says that it is pending")
            }
        }
        guard let reservation = try offer.buffer.memory[0].fence(waitingBefore: .read) else { return "signalled" }
        guard try reservation.status() == .signalled else { throw DemoFailure("the reservation is still busy") }
        return "signalled; poll, sync_file and the buffer's reservation agree"
    }

    private static func verify(_ offer: ReceivedOffer) throws -> String {
        let found = try offer.buffer.checksum()
        guard found == offer.checksum else {
            throw DemoFailure("checksum \(found) read, another was promised")
        }
        return "checksum \(found) is the producer's"
    }

    /// Imports into one importer and, where it lends the memory to the CPU, reads it back through that device.
    private static func importing(
        _ channel: borrowing DemoChannel, _ attempt: ImporterBackend.Attempt, _ offer: ReceivedOffer
    ) throws {
        try channel.step("import \(attempt.name)") {
            let importer: any Importer
            switch attempt.result {
            case .success(let opened): importer = opened
            // Closed to this user: the importer was never asked.
            case .failure(let error) where error.code == .unavailable: throw DMABufError(.refused, error.message)
            case .failure(let error): throw error
            }
            let attachment = try importer.attach(offer.buffer.memory[0], for: .read)
            let mapping: Mapping
            do throws(DMABufError) { mapping = try attachment.map() } catch {
                guard error.code == .unsupported else { throw error }
                return "imported (it lends no view to the CPU)"
            }
            var checksum = Checksum()
            try mapping.withReadAccess { bytes in
                checksum.add(bytes.extracting(first: Int(offer.buffer.description.sizes[0])))
            }
            guard checksum == offer.checksum else { throw DemoFailure("the device shows other bytes") }
            return "imported; read back through it, equal"
        }
    }

    /// Everyone else has let go: the kernel counts one reference, ours.
    private static func expectLastReference(_ buffer: DMABuffer) throws -> String {
        guard buffer.kind == .dmaBuf else { return "a memfd has no count; /proc is looked at instead" }
        let deadline = Deadline.after(.seconds(2))
        var count = try buffer.referenceCount()
        while count != 1, !deadline.hasPassed {
            Clock.sleep(.milliseconds(2))
            count = try buffer.referenceCount()
        }
        guard count == 1 else { throw DemoFailure("the kernel counts \(count ?? 0) references, not 1") }
        return "the kernel counts one reference, the consumer's own"
    }
}
