// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@Suite("A worker with a table of its own", .leavesNoDescriptor)
struct SeparateWorkerTests {
    /// Answers each message with the first byte of the file that came, or with how many files it has open.
    private static func serve(_ end: borrowing UnixSocket) {
        var buffer = [UInt8](repeating: 0, count: 16)
        while var received = try? end.receive(into: &buffer, until: .after(.seconds(20))) {
            if let file = received.descriptors.takeFirst() {
                guard (try? DescriptorKind(of: file)) == .memfd,
                    let mapping = try? MemoryMapping(file, byteCount: 1, writable: false)
                else { return }
                let byte = mapping.withBytes { Span<UInt8>(_bytes: $0)[0] }
                guard (try? end.trySend([byte].span, with: file)) == .sent else { return }
            } else {
                let count = Folder.names("/proc/thread-self/fd").count
                guard (try? end.trySend([UInt8(clamping: count)].span)) == .sent else { return }
            }
        }
    }

    @Test func filesGoThereAndBack() throws {
        let worker = try SeparateWorker(named: "worker") { end in Self.serve(end) }
        var buffer: [UInt8] = [0]
        for value in 0..<5 {
            let file = try MemFD.create(named: "job", byteCount: 1)
            try file.write("\(UnicodeScalar(UInt8(value)))")
            #expect(try worker.socket.trySend([1].span, with: file) == .sent)
            var answer = try worker.socket.receive(into: &buffer, until: .after(.seconds(20)))
            #expect(buffer[0] == UInt8(value))
            guard let copy = answer.descriptors.takeFirst() else { throw Errno.badFileDescriptor }
            #expect(try copy.identity() == file.identity())
        }
        // The standard streams, its end, and the folder being read.
        #expect(try worker.socket.trySend([1].span) == .sent)
        _ = try worker.socket.receive(into: &buffer, until: .after(.seconds(20)))
        #expect(buffer[0] == 5)
    }

    /// A connection of ours ends for its peer though a worker was started while it was open.
    @Test func itHoldsNothingOfOurs() throws {
        let pair = try UnixSocket.pair()
        let first = pair.first
        let second = pair.second
        let worker = try SeparateWorker(named: "worker") { end in Self.serve(end) }
        _ = consume first
        var buffer: [UInt8] = [0]
        #expect(throws: ReceiveError.closed) {
            _ = try second.receive(into: &buffer, until: .after(.seconds(5))).byteCount
        }
        worker.socket.shutdown()
    }

    /// In a process of its own: what is closed elsewhere leaves our table, and the rest stays as it was.
    @Test func closingElsewhereEndsAndFreesTheNumber() async {
        await #expect(processExitsWith: .success) {
            let worker = try SeparateWorker(named: "worker") { end in Self.serve(end) }
            let pair = try UnixSocket.pair()
            for _ in 0..<20 {
                let file = try Descriptor.open("/dev/null")
                let number = file.numberForDisplay
                guard let closer = file.closeElsewhere() else { throw Errno.noChildProcess }
                guard try !Poll.wait(closer.descriptor, for: .readable, until: .after(.seconds(20))).isEmpty
                else { throw Errno.timedOut }
                // Another thread of the test library may have the number already.
                if let link = try? Sysfs.link("/proc/thread-self/fd/\(number)"), link.elementsEqual("/dev/null".utf8) {
                    throw Errno.fileExists
                }
            }
            try pair.first.send([7], with: DescriptorList(), until: .now())
            var buffer: [UInt8] = [0]
            _ = try pair.second.receive(into: &buffer, until: .now())
            guard buffer[0] == 7 else { throw Errno.badMessage }
            worker.socket.shutdown()
        }
    }
}

@Suite("A file that holds whoever closes it", .leavesNoDescriptor, .requires("root", "vgem"))
struct KernelStrangerTests {
    /// Its close never ends. A process with a worker gets rid of it, goes on, and can end; and then nobody has its
    /// connections any more, though the file still holds the one who closes it.
    @Test func closingItElsewhereHoldsNobodyElse() async throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let path = "\(folder)/socket"
        let stranger = try Running(["python3", "\(Package.root)/Tests/Clients/hostile_file.py", "--connect", path])
        await #expect(processExitsWith: .success) { [path = path as String] in
            // The test library's threads share a table; this one has its own, as the only thread that serves has.
            let loop = try SeparateWorker(named: "loop") { end in
                let isGood = (try? Self.serveStranger(at: path)) != nil
                _ = try? end.trySend([isGood ? 1 : 0].span)
            }
            var word: [UInt8] = [0]
            _ = try loop.socket.receive(into: &word, until: .after(.seconds(200)))
            guard word[0] == 1 else { throw Errno.badMessage }
        }
        #expect(try stranger.finish().output == "ended with 1 close held\n")
    }

    /// Nothing is asked of it, neither before nor after a real one has told what filesystem they live in.
    @Test func whatIsCalledLikeADMABufIsToldApart() throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let path = "\(folder)/socket"
        let stranger = try Running([
            "python3", "\(Package.root)/Tests/Clients/hostile_file.py", "--called", "dmabuf:x", path,
        ])
        do {
            let end = try UnixListener(path).accept(until: .after(.seconds(60)))
            var buffer: [UInt8] = [0]
            var received = try end.receive(into: &buffer, until: .after(.seconds(60)))
            guard let file = received.descriptors.takeFirst() else { throw Errno.badFileDescriptor }
            for _ in 0..<2 {
                #expect(try DescriptorKind(of: file) == .other("/dmabuf:x"))
                let real = try VGEMBuffer()
                #expect(try DescriptorKind(of: real.descriptor) == .dmaBuf)
            }
            // Its close is one that ends.
        }
        #expect(try stranger.finish().output == "was asked 0 times\n")
    }

    private static func serveStranger(at path: String) throws {
        let worker = try SeparateWorker(named: "worker") { end in
            var word: [UInt8] = [0]
            _ = try? end.receive(into: &word, until: .after(.seconds(600)))
        }
        let listener = try UnixListener(path)
        let first = try listener.accept(until: .after(.seconds(60)))
        let second = try listener.accept(until: .after(.seconds(60)))
        var buffer: [UInt8] = [0]
        var received = try first.receive(into: &buffer, until: .after(.seconds(60)))
        guard let file = received.descriptors.takeFirst() else { throw Errno.badFileDescriptor }
        let number = file.numberForDisplay
        guard let closer = file.closeElsewhere() else { throw Errno.noChildProcess }
        #expect(SeparateWorker.callerHasOwnTable)
        guard FileType(at: "/proc/thread-self/fd/\(number)") == .missing,
            try Poll.wait(closer.descriptor, for: .readable, until: .after(.milliseconds(500))).isEmpty
        else { throw Errno.badMessage }
        worker.socket.shutdown()
        // Kept open to the end of this thread and its table: nothing but that ends it for the peer.
        second.intoDescriptor().leftOpen()
    }
}

extension Descriptor {
    fileprivate consuming func leftOpen() { _ = release() }
}
