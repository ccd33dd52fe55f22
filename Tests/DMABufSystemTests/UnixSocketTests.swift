// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("A message and its descriptors", .leavesNoDescriptor)
struct UnixSocketTests {
    static let soon: Duration = .seconds(5)

    /// Some descriptors, each of a file of its own.
    struct Files: ~Copyable {
        var list = DescriptorList()
        var inodes: [UInt64] = []

        init(_ count: Int) throws {
            for _ in 0..<count {
                let file = try MemFD.create(named: "test", byteCount: 1)
                inodes.append(try file.identity().inode)
                list.append(file)
            }
        }
    }

    @Test(arguments: [0, 1, 2, 4, 5, 64, 252, 253])
    func descriptorsArriveInOrderClosedOnExec(count: Int) throws {
        let pair = try UnixSocket.pair()
        var inodes: [UInt64] = []
        do {
            let sent = try Files(count)
            inodes = sent.inodes
            try pair.first.send([1, 2, 3], with: sent.list, until: .after(Self.soon))
        }
        var buffer = [UInt8](repeating: 0, count: 16)
        var received = try pair.second.receive(into: &buffer, until: .after(Self.soon))
        #expect(received.byteCount == 3)
        #expect(received.descriptors.count == count)
        for expected in inodes {
            guard let file = received.descriptors.takeFirst() else { throw Errno.badFileDescriptor }
            #expect(try file.identity().inode == expected)
            #expect(file.isClosedOnExec == true)
        }
    }

    @Test func oneTooManyIsALocalErrorAndTheConnectionStands() throws {
        let pair = try UnixSocket.pair()
        let sent = try Files(DescriptorList.limit + 1)
        #expect(throws: Errno.invalidArgument) { try pair.first.send([1], with: sent.list, until: .after(Self.soon)) }
        try pair.first.send([7], with: DescriptorList(), until: .after(Self.soon))
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(try pair.second.receive(into: &buffer, until: .after(Self.soon)).byteCount == 1)
        #expect(buffer[0] == 7)
    }

    @Test func aMessageThatDoesNotFitIsAnErrorAndItsDescriptorsAreClosed() throws {
        let pair = try UnixSocket.pair()
        let sent = try Files(3)
        try pair.first.send([UInt8](repeating: 1, count: 100), with: sent.list, until: .after(Self.soon))
        var buffer = [UInt8](repeating: 0, count: 99)
        #expect(throws: ReceiveError.truncatedBytes) {
            _ = try pair.second.receive(into: &buffer, until: .after(Self.soon)).byteCount
        }
    }

    @Test(arguments: [0, 1, 5])
    func aFullTableIsAnErrorAndWhatCameIsClosed(room: Int) throws {
        let pair = try UnixSocket.pair()
        do {
            let sent = try Files(8)
            try pair.first.send([1], with: sent.list, until: .after(Self.soon))
        }
        var buffer = [UInt8](repeating: 0, count: 16)
        try DescriptorTable.withRoom(for: room) {
            #expect(throws: ReceiveError.truncatedDescriptors) {
                _ = try pair.second.receive(into: &buffer, until: .after(Self.soon)).byteCount
            }
        }
        try pair.first.send([9], with: DescriptorList(), until: .after(Self.soon))
        #expect(try pair.second.receive(into: &buffer, until: .after(Self.soon)).byteCount == 1)
    }

    @Test func aPeerThatHasGoneIsAnEndAndNoSignal() throws {
        let pair = try UnixSocket.pair()
        pair.second.shutdown()
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(throws: ReceiveError.closed) {
            _ = try pair.first.receive(into: &buffer, until: .after(Self.soon)).byteCount
        }
        #expect(throws: Errno.brokenPipe) { try pair.first.send([1], with: DescriptorList(), until: .after(Self.soon)) }
    }

    @Test func aLastWordHasRoomBehindEverythingUnread() throws {
        let pair = try UnixSocket.pair()
        let message: [UInt8] = [1, 2, 3]
        var count = 0
        while try pair.first.trySend(message.span) == .sent { count += 1 }
        let last: [UInt8] = [9]
        #expect(try pair.first.trySendLast(last.span) == .sent)
        pair.first.shutdown()
        var buffer = [UInt8](repeating: 0, count: 16)
        for _ in 0..<count {
            #expect(try pair.second.receive(into: &buffer, until: .after(Self.soon)).byteCount == 3)
        }
        #expect(try pair.second.receive(into: &buffer, until: .after(Self.soon)).byteCount == 1)
        #expect(buffer[0] == 9)
    }

    @Test func descriptorsInFlightEndWithTheConnection() throws {
        let sent = try Files(4)
        do {
            let pair = try UnixSocket.pair()
            try pair.first.send([1], with: sent.list, until: .after(Self.soon))
        }
        #expect(sent.list.count == 4)
    }

    @Test func waitsEnd() throws {
        let pair = try UnixSocket.pair()
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(throws: ReceiveError.system(.timedOut)) {
            _ = try pair.first.receive(into: &buffer, until: .after(.milliseconds(20))).byteCount
        }
        let full = [UInt8](repeating: 0, count: 4096)
        #expect(throws: Errno.timedOut) {
            while true { try pair.first.send(full, with: DescriptorList(), until: .after(.milliseconds(20))) }
        }
    }

    @Test func onlySequencedPacketSocketsAreTakenOver() throws {
        let file = try MemFD.create(named: "test", byteCount: 1)
        #expect(throws: Errno.self) { _ = try UnixSocket(adopting: file.duplicate()).peer }
    }

    @Test func thePeerIsWhoTheKernelSays() throws {
        let pair = try UnixSocket.pair()
        let peer = try pair.first.peer
        #expect(peer.process == OwnProcess.processID)
        #expect(peer.user == OwnProcess.userID)
    }

    @Test func aListenerTakesItsFileAway() throws {
        let path = "/tmp/dmabuf-share-test-\(OwnProcess.processID).sock"
        do {
            let listener = try UnixListener(path)
            #expect(try FileType.permissions(path) == 0o600, "nobody else may connect")
            #expect(throws: Errno.addressInUse) { _ = try UnixListener(path).path }
            let client = try UnixSocket.connect(to: path, until: .after(Self.soon))
            let server = try listener.accept(until: .after(Self.soon))
            try client.send([5], with: DescriptorList(), until: .after(Self.soon))
            var buffer = [UInt8](repeating: 0, count: 16)
            #expect(try server.receive(into: &buffer, until: .after(Self.soon)).byteCount == 1)
            #expect(throws: Errno.timedOut) { _ = try listener.accept(until: .after(.milliseconds(10))).peer }
        }
        #expect(FileType(at: path) == .missing)
        #expect(throws: Errno.noSuchFileOrDirectory) {
            _ = try UnixSocket.connect(to: path, until: .after(Self.soon)).peer
        }
    }

    @Test func aListenerThatDoesNotAcceptHoldsNobody() throws {
        let path = "/tmp/dmabuf-share-test-\(OwnProcess.processID)-full.sock"
        let listener = try UnixListener(path, backlog: 0)
        let first = try UnixSocket.connect(to: path, until: .after(Self.soon))
        #expect(throws: Errno.timedOut) { _ = try UnixSocket.connect(to: path, until: .after(.milliseconds(30))).peer }
        first.shutdown()
        #expect(listener.path == path)
    }

    @Test func aPathThatIsTooLongIsSaid() {
        #expect(throws: Errno.fileNameTooLong) {
            _ = try UnixSocket.connect(to: "/tmp/" + String(repeating: "x", count: 200), until: .now()).peer
        }
    }
}

extension Descriptor {
    fileprivate var isClosedOnExec: Bool {
        let flags = Sysfs.text("/proc/self/fdinfo/\(numberForDisplay)") ?? ""
        let octal = flags.split(separator: "\n").first { $0.hasPrefix("flags:") }?.split(separator: "\t").last ?? ""
        return Int(octal, radix: 8).map { $0 & 0o2000000 != 0 } ?? false
    }
}
