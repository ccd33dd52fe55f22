// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("A listener of a daemon", .leavesNoDescriptor)
struct DaemonListenerTests {
    private static let soon: Duration = .seconds(5)

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        try body(folder)
    }

    @Test func aSocketThatNobodyListensOnIsTakenOver() throws {
        try withFolder { folder in
            let path = "\(folder)/socket"
            // Bound, and its owner killed: the file stays.
            let orphan = "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind('\(path)')"
            #expect(try Running(["python3", "-c", orphan]).finish().status == 0)
            #expect(FileType(at: path) == .socket)
            do {
                let listener = try UnixListener(claiming: path, mode: 0o666, until: .after(Self.soon))
                #expect(try FileType.permissions(path) == 0o666)
                #expect(throws: Errno.addressInUse) {
                    _ = try UnixListener(claiming: path, until: .after(Self.soon)).path
                }
                // The question was a connection, too.
                _ = try listener.accept(until: .after(Self.soon)).peer
                let client = try UnixSocket.connect(to: path, until: .after(Self.soon))
                #expect(try listener.tryAccept()?.peer == client.peer)
                #expect(try listener.tryAccept()?.peer == nil)
            }
            #expect(FileType(at: path) == .missing)
        }
    }

    @Test func whatIsNoSocketStays() throws {
        try withFolder { folder in
            try Descriptor.open("\(folder)/socket", .create).close()
            #expect(throws: Errno.fileExists) {
                _ = try UnixListener(claiming: "\(folder)/socket", until: .after(Self.soon)).path
            }
            #expect(FileType(at: "\(folder)/socket") == .other)
        }
    }

    @Test func aLockedFolderHoldsNobodyForLong() throws {
        try withFolder { folder in
            let lock = try FolderLock(holding: "\(folder)/socket", until: .now())
            #expect(throws: Errno.timedOut) {
                _ = try UnixListener(claiming: "\(folder)/socket", until: .after(.milliseconds(20))).path
            }
            lock.unlock()
        }
    }

    /// Somebody removed the file and bound another one: that one is not ours.
    @Test func onlyItsOwnFileIsRemoved() throws {
        try withFolder { folder in
            let path = "\(folder)/socket"
            do {
                let first = try UnixListener(path)
                try FileType.remove(path)
                let second = try UnixListener(path)
                _ = consume first
                #expect(FileType(at: path) == .socket)
                #expect(second.path == path)
            }
            #expect(FileType(at: path) == .missing)
        }
    }

    @Test func onlyAListeningSocketIsAdopted() throws {
        try withFolder { folder in
            let path = "\(folder)/socket"
            do {
                let made = try UnixListener(path)
                let adopted = try UnixListener(adopting: made.descriptor.duplicate())
                #expect(adopted.path == "")
                let client = try UnixSocket.connect(to: path, until: .after(Self.soon))
                #expect(try adopted.tryAccept()?.peer == client.peer)
                _ = consume adopted
                #expect(FileType(at: path) == .socket, "the file is the manager's")
            }
            let pair = try UnixSocket.pair()
            #expect(throws: Errno.invalidArgument) {
                _ = try UnixListener(adopting: pair.first.descriptor.duplicate()).path
            }
            #expect(throws: Errno.notSocket) {
                _ = try UnixListener(adopting: EventFD().intoDescriptor()).path
            }
        }
    }

    /// The queue empties, one connection at a time, with not one number free; and the spare is there again.
    @Test func aFullTableTurnsAwayAndDoesNotSpin() throws {
        try withFolder { folder in
            let listener = try UnixListener("\(folder)/socket")
            var spare = try SpareDescriptor()
            let first = try UnixSocket.connect(to: listener.path, until: .after(Self.soon))
            let second = try UnixSocket.connect(to: listener.path, until: .after(Self.soon))
            try DescriptorTable.withRoom(for: 0) {
                for _ in 0..<2 {
                    #expect(throws: Errno.tooManyOpenFiles) { _ = try listener.tryAccept()?.peer }
                    let (wasOne, isKept) = (spare.turnAway(from: listener), spare.isKept)
                    #expect(wasOne && isKept)
                }
                let wasAnother = spare.turnAway(from: listener)
                #expect(!wasAnother)
            }
            var buffer: [UInt8] = [0]
            #expect(throws: ReceiveError.closed) { _ = try first.receive(into: &buffer, until: .now()).byteCount }
            #expect(throws: ReceiveError.closed) { _ = try second.receive(into: &buffer, until: .now()).byteCount }
        }
    }
}

@Suite("A service manager", .leavesNoDescriptor, .serialized)
struct ServiceTests {
    private func withEnvironment(_ entries: [String: String], _ body: () throws -> Void) throws {
        for (name, value) in entries { OwnProcess.setEnvironment(name, to: value) }
        defer { for name in entries.keys { OwnProcess.setEnvironment(name, to: nil) } }
        try body()
    }

    @Test func nothingIsSentWhereNobodyAsked() throws {
        for address in [nil, ""] as [String?] {
            let notifier = try ServiceNotifier(address: address)
            try notifier.ready()
            try notifier.stopping()
        }
    }

    /// A manager in another process, at a path and at an abstract address.
    @Test(arguments: [false, true]) func whatTheManagerHears(isAbstract: Bool) throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let address = isAbstract ? "@\(folder)" : "\(folder)/notify"
        let manager = """
            import socket, sys, os
            end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            end.bind(sys.argv[1].replace("@", "\\0"))
            open(sys.argv[2] + "/bound", "w").close()
            end.settimeout(20)
            for _ in range(4): print(repr(end.recv(1000).decode()))
            """
        let running = try Running(["python3", "-c", manager, address, folder])
        let deadline = Deadline.after(.seconds(20))
        while FileType(at: "\(folder)/bound") == .missing, !deadline.hasPassed { Clock.sleep(.milliseconds(2)) }
        var before = Deadline.now()
        try withEnvironment(["NOTIFY_SOCKET": address]) {
            let notifier = try ServiceNotifier.take()
            #expect(OwnProcess.environment("NOTIFY_SOCKET") == nil)
            try notifier.ready()
            try notifier.status("3 clients\nSTOPPING=1")
            before = .now()
            try notifier.reloading()
            try notifier.stopping()
        }
        let lines = try running.finish().output.split(separator: "\n").map(String.init)
        #expect(lines.count == 4)
        #expect(lines.first == "'READY=1'")
        #expect(lines[1] == "'STATUS=3 clients STOPPING=1'")
        let prefix = "'RELOADING=1\\nMONOTONIC_USEC="
        #expect(lines[2].hasPrefix(prefix))
        let moment = UInt64(lines[2].dropFirst(prefix.count).dropLast())
        #expect(moment.map { $0 >= before.nanoseconds / 1000 && $0 < before.nanoseconds / 1000 + 20_000_000 } == true)
        #expect(lines[3] == "'STOPPING=1'")
    }

    @Test func aManagerThatIsGoneIsAnError() throws {
        let notifier = try ServiceNotifier(address: "/tmp/dmabuf-share-test-nobody")
        #expect(throws: Errno.noSuchFileOrDirectory) { try notifier.ready() }
        let long = try ServiceNotifier(address: "/" + String(repeating: "x", count: 200))
        #expect(throws: Errno.fileNameTooLong) { try long.ready() }
    }

    @Test(arguments: ["", "1", "abc"]) func whatIsForAnotherProcessStays(process: String) throws {
        try withEnvironment(["LISTEN_PID": process, "LISTEN_FDS": "1"]) {
            let isEmpty = try ServiceDescriptors.take().descriptors.isEmpty
            #expect(isEmpty)
            #expect(OwnProcess.environment("LISTEN_FDS") == nil)
        }
    }

    @Test(arguments: ["0", "-1", "x", "70000", ""]) func noNumberIsNothing(count: String) throws {
        try withEnvironment(["LISTEN_PID": "\(OwnProcess.processID)", "LISTEN_FDS": count]) {
            let isEmpty = try ServiceDescriptors.take().descriptors.isEmpty
            #expect(isEmpty)
        }
    }

    /// From another number than 3, which may be in use here.
    @Test(arguments: [("one", "one"), ("one:two", "unknown"), (nil, "unknown")] as [(String?, String)])
    func whatIsForUsIsTakenOver(given: String?, expected: String) throws {
        let file = try MemFD.create(named: "passed", byteCount: 1)
        let number = try file.duplicate().forgotten()
        var entries = ["LISTEN_PID": "\(OwnProcess.processID)", "LISTEN_FDS": "1"]
        entries["LISTEN_FDNAMES"] = given
        try withEnvironment(entries) {
            var taken = try ServiceDescriptors.take(from: number)
            #expect(taken.names == [expected])
            #expect(OwnProcess.environment("LISTEN_PID") == nil)
            guard let copy = taken.descriptors.takeFirst() else { throw Errno.badFileDescriptor }
            #expect(try copy.identity() == file.identity())
            let isEmpty = taken.descriptors.isEmpty
            #expect(isEmpty)
        }
    }

    @Test func whatIsNotOpenIsAnError() throws {
        try withEnvironment(["LISTEN_PID": "\(OwnProcess.processID)", "LISTEN_FDS": "2"]) {
            #expect(throws: Errno.badFileDescriptor) {
                _ = try ServiceDescriptors.take(from: 987_654).descriptors.isEmpty
            }
        }
    }
}

extension Descriptor {
    /// Its number, still open and nobody's, as a new process finds what it was started with.
    fileprivate consuming func forgotten() -> Int { Int(release()) }
}
