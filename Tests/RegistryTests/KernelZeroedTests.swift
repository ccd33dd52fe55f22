// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// What one user has written nobody else reads: memory that the registry makes comes zeroed, however often it was used.
@Suite("Memory that passes from one user to the next", .leavesNoDescriptor, .requires("root", "python3"))
struct KernelZeroedTests {
    private static let (first, second): (UInt32, UInt32) = (65533, 65532)
    private static let byteCount: UInt64 = 256 << 10
    private static let rounds = 4

    private let limit = Deadline.after(.seconds(240))

    @Test(arguments: Backends.exporters)
    func isZeroed(exporter: String) throws {
        try withTwoUsers(of: exporter) { near, other in
            // All of it has ended with its user: now the next one asks for just as much.
            try near.kill()
            for _ in 0..<Self.rounds { #expect(try isZero(&other, exporter)) }
        }
    }

    @Test("so is what a buffer is moved to, but for its own content", arguments: Backends.exporters)
    func isMoved(exporter: String) throws {
        try withTwoUsers(of: exporter) { near, other in
            let (id, generation) = try other.allocate(.bytes(Self.byteCount), from: "memfd", until: limit)
            var attached = try other.attach(id, AttachTerms(.readWrite), until: limit)
            try other.move(id, from: generation, to: exporter, until: limit)
            attached = try other.map(attached.attachment, until: limit)
            #expect(try isZero(attached))
            try near.kill()
        }
    }

    /// One who has filled and ended buffers of an exporter, whom `body` ends, and another who has done nothing yet.
    private func withTwoUsers(
        of exporter: String, _ body: (consuming Relay, inout RegistryConnection) throws -> Void
    ) throws {
        let registry = try RunningRegistry("--mode", "0666", "--allocate-for-all")
        // One joins before the other's process starts: who has connected has a second, and a start can take that long.
        var near = try Relay(to: registry.socket, as: Self.first)
        var one = try RegistryConnection(near.takeSocket(), until: limit)
        var far = try Relay(to: registry.socket, as: Self.second)
        var other = try RegistryConnection(far.takeSocket(), until: limit)
        for _ in 0..<Self.rounds { try fill(&one, exporter) }
        try body(near, &other)
        try far.kill()
        #expect(try registry.stop().status == 0)
    }

    /// A buffer without a zero in it, and its end.
    private func fill(_ client: inout RegistryConnection, _ exporter: String) throws {
        let (id, _) = try client.allocate(.bytes(Self.byteCount), from: exporter, until: limit)
        let attached = try client.attach(id, AttachTerms(.readWrite), until: limit)
        var mapping = try CPUImporter().attach(attached.buffer.memory[0], for: .readWrite).map()
        try mapping.withWriteAccess { bytes in
            var offset = 0
            while offset < bytes.byteCount {
                bytes.storeBytes(of: .max, toByteOffset: offset, as: UInt64.self)
                offset += 8
            }
        }
        try client.ask(.detach(attached.attachment), until: limit)
        try client.ask(.withdraw(id), until: limit)
    }

    private func isZero(_ client: inout RegistryConnection, _ exporter: String) throws -> Bool {
        let (id, _) = try client.allocate(.bytes(Self.byteCount), from: exporter, until: limit)
        return try isZero(try client.attach(id, AttachTerms(.read), until: limit))
    }

    private func isZero(_ attached: AttachedBuffer) throws -> Bool {
        let mapping = try CPUImporter().attach(attached.buffer.memory[0], for: .read).map()
        return try mapping.withReadAccess { bytes in
            // No sequence and no closure: a test is not optimised, and this is most of what it does.
            var (offset, bits) = (0, UInt64(0))
            while offset < bytes.byteCount {
                bits |= unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt64.self)
                offset += 8
            }
            return bits == 0
        }
    }
}
