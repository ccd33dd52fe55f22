// SPDX-License-Identifier: Apache-2.0

import DMABufConnection
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("Meeting at a path", .leavesNoDescriptor)
struct RendezvousTests {
    private let path = "/tmp/dmabuf-share-meet-\(OwnProcess.processID).sock"

    /// Each says its number and hears the other's, so that nobody can have met himself or a third.
    @Test func bothSidesMeetEachOther() async throws {
        for round in 0..<50 {
            let path = self.path
            async let first = Task.detached { try Self.exchange(UInt8(round), at: path) }.value
            async let second = Task.detached { try Self.exchange(UInt8(100 + round), at: path) }.value
            let (one, other) = try await (first, second)
            #expect(one == UInt8(100 + round) && other == UInt8(round))
        }
        #expect(FileType(at: path) == .missing)
    }

    private static func exchange(_ number: UInt8, at path: String) throws -> UInt8 {
        let socket = try meet(path, soon)
        try socket.send([number], with: DescriptorList(), until: .after(soon))
        var buffer: [UInt8] = [0]
        _ = try socket.receive(into: &buffer, until: .after(soon)).byteCount
        return buffer[0]
    }

    @Test func nobodyComes() {
        #expect(throws: Errno.timedOut) { _ = try meet(path, .milliseconds(30)).peer }
        #expect(FileType(at: path) == .missing)
    }

    @Test func aSocketLeftBehindIsReplacedAndAFileIsNot() async throws {
        // A killed listener leaves its file: bound, never removed.
        let child = try ChildProcess(
            CommandWord.words([
                "python3", "-c", "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind('\(path)')",
            ]),
            environment: OwnProcess.environment, descriptors: DescriptorList())
        _ = try child.wait(until: .after(soon))
        #expect(FileType(at: path) == .socket)
        #expect(throws: Errno.timedOut) { _ = try meet(path, .milliseconds(30)).peer }
        _ = try Descriptor.open(path, .create).identity()
        #expect(throws: Errno.fileExists) { _ = try meet(path, .milliseconds(30)).peer }
        try FileType.remove(path)
    }
}

private func meet(_ path: String, _ limit: Duration) throws(Errno) -> UnixSocket {
    try Rendezvous.meet(at: path, until: .after(limit), unless: SignalFD([.user1]))
}
