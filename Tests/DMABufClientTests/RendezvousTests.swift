// SPDX-License-Identifier: Apache-2.0

import DMABufConnection
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("Meeting at a path", .leavesNoDescriptor)
struct RendezvousTests {
    private let path = "/tmp/dmabuf-share-meet-\(OwnProcess.processID).sock"

    @Test func bothSidesMeetWhicheverComesFirst() async throws {
        for _ in 0..<50 {
            let path = self.path
            async let first = Task.detached { try Rendezvous.meet(at: path, until: .after(soon)).peer }.value
            async let second = Task.detached { try Rendezvous.meet(at: path, until: .after(soon)).peer }.value
            let (one, other) = try await (first, second)
            #expect(one == other)
        }
        #expect(FileType(at: path) == .missing)
    }

    @Test func nobodyComes() {
        #expect(throws: Errno.timedOut) { _ = try Rendezvous.meet(at: path, until: .after(.milliseconds(30))).peer }
        #expect(FileType(at: path) == .missing)
    }

    @Test func aSocketLeftBehindIsReplacedAndAFileIsNot() async throws {
        // A killed listener leaves its file: bound, never removed.
        let child = try ChildProcess(
            ["python3", "-c", "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind('\(path)')"],
            environment: OwnProcess.environment, descriptors: DescriptorList())
        _ = try child.wait(until: .after(soon))
        #expect(FileType(at: path) == .socket)
        #expect(throws: Errno.timedOut) { _ = try Rendezvous.meet(at: path, until: .after(.milliseconds(30))).peer }
        _ = try Descriptor.open(path, .create).identity()
        #expect(throws: Errno.fileExists) { _ = try Rendezvous.meet(at: path, until: .after(.milliseconds(30))).peer }
        try FileType.remove(path)
    }
}
