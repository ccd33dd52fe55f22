// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufConnection
import DMABufModel
public import DMABufSystem
import DMABufWire

/// The worker's side: makes what it is told to, once, and ends.
public enum Worker {
    private static let patience: Duration = .seconds(30)

    /// Takes its order from `socket` and answers there. What fails is said there, too.
    public static func run(_ socket: consuming UnixSocket) {
        var connection = Connection(socket)
        let deadline = Deadline.after(patience)
        guard var incoming = try? connection.receive(until: deadline),
            case .order(let order) = incoming.envelope.message
        else { return }
        let serial = incoming.envelope.serial
        do throws(DMABufError) {
            let made = try make(order, &incoming.descriptors)
            var descriptors = DescriptorList()
            for memory in made.memory { descriptors.append(try memory.duplicateDescriptor()) }
            let memories = Memories(made.kind == .dmaBuf ? .dmaBuf : .memfd, made.description)
            try? connection.answer(serial, .made(memories), with: descriptors, until: deadline)
        } catch {
            let refusal = OfferRefusal(error.refusalReason, Wire.reason(error.message.escapedForDisplay))
            try? connection.answer(serial, .refused(refusal), until: deadline)
        }
    }

    private static func make(
        _ order: WorkOrder, _ descriptors: inout DescriptorList
    ) throws(DMABufError) -> DescribedBuffer {
        let exporter: any Exporter
        if let name = order.exporter {
            exporter = try ExporterBackend.open(name)
        } else {
            exporter = try ExporterBackend.choose().exporter
        }
        let made = try exporter.export(order.request)
        guard order.source != nil else { return made }
        guard let descriptor = descriptors.takeFirst() else {
            throw DMABufError(.notADMABuf, "a descriptor is missing")
        }
        let source = try DMABuffer(adopting: descriptor)
        // Whoever has a memfd may have made it longer.
        guard source.byteCount >= made.memory[0].byteCount else {
            throw DMABufError(.failed, "\(exporter.name) made \(made.memory[0].byteCount) bytes of \(source.byteCount)")
        }
        try copy(source, into: made.memory[0])
        return made
    }

    private static func copy(_ source: DMABuffer, into target: DMABuffer) throws(DMABufError) {
        let from = try CPUImporter().attach(source, for: .read).map()
        var to = try CPUImporter().attach(target, for: .readWrite).map()
        let outcome = try from.withReadAccess(within: .seconds(10)) { bytes -> Result<Void, DMABufError> in
            Result { () throws(DMABufError) in
                try to.withWriteAccess { target in target.copyBytes(from: bytes.extracting(first: target.byteCount)) }
            }
        }
        try outcome.get()
    }
}
