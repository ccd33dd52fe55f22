// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import Synchronization
import TestSupport
import Testing

/// A client that writes all the while, each time the next number to both ends of the buffer.
private final class Writer: Sendable {
    private let isWanted = Atomic(true)
    private let written = Atomic<UInt64>(0)
    private let failure = Mutex<RegistryError?>(nil)

    var last: UInt64 { written.load(ordering: .sequentiallyConsistent) }
    var error: RegistryError? { failure.withLock { $0 } }
    func stop() { isWanted.store(false, ordering: .sequentiallyConsistent) }

    func run(at socket: String, on name: String) {
        do throws(RegistryError) {
            var registry = try RegistryConnection(at: socket, until: .after(.seconds(20)))
            var attached = try registry.attach(name, AttachTerms(.readWrite), until: .after(.seconds(20)))
            while isWanted.load(ordering: .sequentiallyConsistent) {
                let next = last + 1
                try registry.withAccess(.write, to: &attached, within: .seconds(20)) { bytes in
                    bytes.storeBytes(of: next, toByteOffset: 0, as: UInt64.self)
                    bytes.storeBytes(of: next, toByteOffset: bytes.byteCount - 8, as: UInt64.self)
                }
                written.store(next, ordering: .sequentiallyConsistent)
            }
        } catch { failure.withLock { $0 = error } }
    }
}

@Suite("Moves by the registry under a writer", .leavesNoDescriptor)
struct KernelWriterMoveTests {
    private let limit = Deadline.after(.seconds(300))

    private struct Ends {
        let first: UInt64
        let last: UInt64
    }

    @Test("from every exporter to every other, no write is lost and none is torn")
    func everyPair() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        let exporters = Backends.realExporters + ["memfd"]
        let (id, _) = try owner.allocate(.bytes(65536), from: exporters[0], name: "frame", until: limit)
        var attached = try owner.attach(id, AttachTerms(.read), until: limit)
        let writer = Writer()
        let thread = try WorkerThread(named: "writer") { [socket = registry.socket] in
            writer.run(at: socket, on: "frame")
        }
        defer { writer.stop() }
        for (from, to) in Self.steps(exporters.count) {
            let before = try busy(writer)
            try owner.move(id, from: attached.generation, to: exporters[to], until: limit)
            attached = try owner.map(attached.attachment, until: limit)
            let ends = try ends(of: &attached, &owner)
            #expect(ends.last >= before, "\(exporters[from]) to \(exporters[to])")
            #expect(ends.first >= ends.last, "\(exporters[from]) to \(exporters[to])")
        }
        _ = try busy(writer)
        writer.stop()
        _ = consume thread
        let ends = try ends(of: &attached, &owner)
        #expect(ends.first == writer.last && ends.last == writer.last)
        _ = try registry.stop()
    }

    /// An access keeps no other out: the writer writes the first, and then the last, so this reads the last first.
    private func ends(of attached: inout AttachedBuffer, _ owner: inout RegistryConnection) throws -> Ends {
        try owner.withAccess(.read, to: &attached, within: .seconds(20)) { bytes in
            let last = bytes.number(at: bytes.byteCount - 8)
            return Ends(first: bytes.number(at: 0), last: last)
        }
    }

    /// Every ordered pair, each step from where the one before ended.
    private static func steps(_ count: Int) -> [(Int, Int)] {
        var steps: [(Int, Int)] = []
        var present = 0
        for from in 0..<count {
            for to in 0..<count where to != from {
                if present != from { steps.append((present, from)) }
                steps.append((from, to))
                present = to
            }
        }
        return steps
    }

    /// It has written since; the number of its last write.
    private func busy(_ writer: Writer) throws -> UInt64 {
        let before = writer.last
        try wait { writer.last > before || writer.error != nil }
        if let error = writer.error { throw error }
        return writer.last
    }
}

extension RawSpan {
    fileprivate func number(at offset: Int) -> UInt64 {
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt64.self)
    }
}
