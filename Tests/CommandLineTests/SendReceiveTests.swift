// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

@Suite("send and receive", .leavesNoDescriptor)
struct SendReceiveTests {
    private let socket = "/tmp/dmabuf-share-\(OwnProcess.processID)-\(Deadline.now().nanoseconds).sock"

    @Test(arguments: [true, false])
    func whicheverComesFirst(senderFirst: Bool) throws {
        let send = [
            "send", "--to", socket, "--from", "memfd", "--size", "64K", "--fill", "pattern", "--name", "a frame",
        ]
        let receive = ["receive", "--from", socket, "--verify"]
        let first = try Running([Tool.path] + (senderFirst ? send : receive))
        Clock.sleep(.milliseconds(200))
        let second = try Running([Tool.path] + (senderFirst ? receive : send)).finish()
        let other = try first.finish()
        #expect(second.status == 0 && other.status == 0, "\(second.errors) \(other.errors)")
        let received = senderFirst ? second.output : other.output
        #expect(received.hasPrefix("received memfd of 64 KiB from memfd, \"a frame\", checksum "), "\(received)")
        #expect(FileType(at: socket) == .missing)
    }

    @Test func theContentIsTheSenders() throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let script = """
            head -c 8192 /dev/urandom >\(folder)/in
            \(Tool.path) send --to \(socket) --from memfd --size 8192 --fill \(folder)/in --timeout 20 >/dev/null &
            \(Tool.path) receive --from \(socket) --verify --out \(folder)/out --timeout 20 --json && wait $! &&
                cmp \(folder)/in \(folder)/out
            """
        let run = try Running(["sh", "-c", script]).finish()
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.output.contains(#""sizes":[8192]"#) && run.output.contains(#""schema":1"#), "\(run.output)")
    }

    @Test func anInheritedSocketWorks() throws {
        let pair = try UnixSocket.pair()
        var forSender = DescriptorList()
        try forSender.appendDuplicate(of: pair.first.descriptor)
        var forReceiver = DescriptorList()
        try forReceiver.appendDuplicate(of: pair.second.descriptor)
        let sender = try Running(
            [Tool.path, "send", "--to", "fd:3", "--from", "memfd", "--image", "32x32:XR24"], descriptors: forSender)
        let received = try Running([Tool.path, "receive", "--from", "fd:3", "--verify"], descriptors: forReceiver)
            .finish()
        #expect(received.status == 0, "\(received.errors)")
        #expect(try sender.finish().status == 0)
    }

    @Test func nobodyThereIsADeadline() throws {
        let run = try Tool.run("receive", "--from", socket, "--timeout", "0.2")
        #expect(run.status == 124 && run.errors.contains("nobody came in time"), "\(run.errors)")
        #expect(
            try Tool.run("send", "--to", socket, "--from", "memfd", "--size", "4K", "--timeout", "0.2").status == 124)
        #expect(FileType(at: socket) == .missing)
    }

    @Test func theReceiverCanImport() throws {
        let script = """
            \(Tool.path) send --to \(socket) --from memfd --size 8192 --timeout 20 >/dev/null &
            \(Tool.path) receive --from \(socket) --into cpu --timeout 20; status=$?; wait $!; exit $status
            """
        #expect(try Running(["sh", "-c", script]).finish().status == 0)
    }
}
