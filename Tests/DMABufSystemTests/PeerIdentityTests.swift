// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("Who is at the other end", .leavesNoDescriptor)
struct PeerIdentityTests {
    /// Becomes another user with a hundred groups if it is told to, connects, and stays until something comes.
    private static let connectAndStay = """
        import os, socket, sys
        if len(sys.argv) > 2:
            os.setgroups(range(2000, 2100))
            os.setgid(1235)
            os.setuid(1234)
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        end.connect(sys.argv[1])
        end.recv(1)
        """

    private func start(_ words: [String]) throws -> ChildProcess {
        try ChildProcess(
            CommandWord.words(words), environment: OwnProcess.environment, descriptors: DescriptorList())
    }

    @Test func thisProcessKnowsItself() throws {
        let pair = try UnixSocket.pair()
        let peer = try PeerIdentity(of: pair.first)
        #expect(peer.process == OwnProcess.processID)
        #expect(peer.user == OwnProcess.userID)
        #expect(try DescriptorKind(of: peer.pidfd.descriptor) == .pidfd)
        #expect(try !peer.pidfd.hasEnded)
        #expect(Set(peer.groups).union([peer.group]) == ProcessIdentity.current().groups)
    }

    /// More groups than the first question has room for, and a user that is not ours.
    @Test(.requires("root")) func anotherUserWithManyGroups() throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        _ = try start(["chmod", "755", folder]).wait(until: .after(.seconds(10)))
        let listener = try UnixListener("\(folder)/socket", mode: 0o666)
        let client = try start(["python3", "-c", Self.connectAndStay, listener.path, "as another"])
        do {
            let server = try listener.accept(until: .after(.seconds(20)))
            let peer = try PeerIdentity(of: server)
            #expect(peer.user == 1234)
            #expect(peer.group == 1235)
            #expect(peer.groups == Array(2000..<2100))
            #expect(peer.process == client.processID)
            #expect(try !peer.pidfd.hasEnded)
            try server.send([1], with: DescriptorList(), until: .after(.seconds(5)))
            #expect(try client.wait(until: .after(.seconds(20))) == .exited(0))
            #expect(try peer.pidfd.hasEnded)
            // It is reaped, so the number may be another's by now.
            #expect(throws: Errno.noSuchProcess) { _ = try PidFD(lookingUp: peer.process, of: server).hasEnded }
        }
    }

    @Test func aPeerThatIsReapedIsNobody() throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let listener = try UnixListener("\(folder)/socket")
        let client = try start(["python3", "-c", Self.connectAndStay, listener.path])
        let server = try listener.accept(until: .after(.seconds(20)))
        try client.send(.kill)
        _ = try client.wait(until: .after(.seconds(20)))
        // Newer kernels than 6.14 still hand out a pidfd: of a process that has ended.
        do throws(Errno) {
            let peer = try PeerIdentity(of: server)
            #expect(try peer.pidfd.hasEnded)
        } catch { #expect(error == .noSuchProcess) }
    }

    /// How it is done before Linux 6.5.
    @Test func anEndThatIsClosedVouchesForNobody() throws {
        let pair = try UnixSocket.pair()
        let ours = pair.first
        let own = OwnProcess.processID
        do {
            let theirs = pair.second
            #expect(try !PidFD(lookingUp: own, of: ours).hasEnded)
            try theirs.send([1], with: DescriptorList(), until: .after(.seconds(5)))
            #expect(try !PidFD(lookingUp: own, of: ours).hasEnded)
        }
        #expect(throws: Errno.noSuchProcess) { _ = try PidFD(lookingUp: own, of: ours).hasEnded }
        #expect(throws: Errno.noSuchProcess) { _ = try PidFD(lookingUp: 0, of: ours).hasEnded }
    }

    @Test func nothingButASocketHasAPeer() throws {
        #expect(PeerIdentity.overflowUser > 0)
        #expect(throws: Errno.notSocket) { _ = try UnixSocket(adopting: EventFD().intoDescriptor()).peer }
    }
}

@Suite("Random bits")
struct SecureRandomTests {
    @Test func noTwoAreTheSameAndAllBitsMove() throws {
        var seen: Set<UInt64> = []
        var (ones, zeros): (UInt64, UInt64) = (0, 0)
        for _ in 0..<200 {
            let (high, low) = try SecureRandom.bits128()
            seen.formUnion([high, low])
            ones |= high & low
            zeros |= ~(high | low)
        }
        #expect(seen.count == 400)
        #expect(ones == .max && zeros == .max)
    }
}
