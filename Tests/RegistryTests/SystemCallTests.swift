// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

/// What the kernel is asked for a request, counted: the same on every machine, however slow.
@Suite("System calls per request", .requires("strace"), .leavesNoDescriptor)
struct SystemCallTests {
    /// Of a daemon that serves many; each is there for a reason, and one more has to have one.
    private static let perMessage = ["epoll_pwait2": 1, "recvmsg": 1, "sendmsg": 1]

    @Test("a look-up costs three: a wait, a message in and a message out")
    func lookup() throws {
        try counting { (client, name, deadline) in
            try client.ask(.lookup(name, uid: nil), until: deadline)
        } expect: {
            #expect($0 == Self.perMessage)
        }
    }

    @Test("an attachment and its end cost one more: whether the descriptor before it has been read")
    func attach() throws {
        try counting { (client, name, deadline) in
            let attached = try client.attach(name, AttachTerms(.read), until: deadline)
            try client.ask(.detach(attached.attachment), until: deadline)
        } expect: {
            #expect($0 == Self.perMessage.mapValues { $0 * 2 }.merging(["ioctl": 1]) { $1 })
        }
    }

    @Test("a registration and its end: five to know the memory, one for a number, one to let go")
    func register() throws {
        let buffer = try MemFDExporter().export(.bytes(4096))
        try counting { (client, _, deadline) in
            let (id, _) = try client.register(buffer, until: deadline)
            try client.ask(.withdraw(id), until: deadline)
        } expect: {
            // The link, the seals, the filesystem, the size, the access.
            let known = ["readlink": 1, "fcntl": 2, "fstatfs": 1, "fstat": 1, "getrandom": 1, "close": 1]
            #expect($0 == Self.perMessage.mapValues { $0 * 2 }.merging(known) { $1 })
        }
    }

    private func counting(
        _ request: (inout RegistryConnection, String, Deadline) throws -> Void, expect: ([String: Int]) -> Void
    ) throws {
        let registry = try TracedRegistry()
        let deadline = Deadline.after(.seconds(60))
        var client = try RegistryConnection(at: registry.socket, until: deadline)
        _ = try client.register(MemFDExporter().export(.bytes(4096)), name: "asked", until: deadline)
        // The first of a kind may make room for the others.
        for _ in 0..<5 { try request(&client, "asked", deadline) }
        let rounds = 100
        let before = registry.calls()
        for _ in 0..<rounds { try request(&client, "asked", deadline) }
        let counts = registry.calls().merging(before) { $0 - $1 }
        expect(counts.mapValues { ($0 + rounds / 2) / rounds }.filter { $0.value > 0 })
        try registry.stop()
    }
}

/// A registry whose system calls are written down.
private struct TracedRegistry: ~Copyable {
    private let tracer: Running
    private let folder: String
    let socket: String

    init() throws {
        let folder = try TemporaryFolder.make()
        let socket = "\(folder)/registry.sock"
        let tracer = try Running(
            [
                "strace", "-f", "-qq", "-o", "\(folder)/trace", Tool.path, "serve", "--no-vault", "--socket",
                socket,
            ])
        // The file is there before anybody listens on it.
        try wait { (try? UnixSocket.connect(to: socket, until: .after(.seconds(1)))) != nil }
        self.folder = folder
        self.socket = socket
        self.tracer = tracer
    }

    /// How often each was made so far. The tracer writes a line when it is whole, and the last few are on their way.
    borrowing func calls() -> [String: Int] {
        Clock.sleep(.milliseconds(200))
        var counts: [String: Int] = [:]
        for line in (Sysfs.text("\(folder)/trace") ?? "").split(separator: "\n") {
            // Process, spaces, name, arguments.
            guard let call = line.split(separator: " ").dropFirst().first, let end = call.firstIndex(of: "(") else {
                continue
            }
            // As the C library has it: the two are one.
            let name = call[..<end] == "newfstatat" ? "fstat" : String(call[..<end])
            counts[name, default: 0] += 1
        }
        return counts
    }

    /// The tracer ends with what it traces, which is its only child.
    consuming func stop() throws {
        let children = Sysfs.text("/proc/\(tracer.processID)/task/\(tracer.processID)/children") ?? ""
        let daemon = try PidFD(#require(Int32(children.split(separator: " ").first ?? "")))
        try daemon.send(SignalNumber.terminate.rawValue)
        #expect(try tracer.finish().status == 0)
        TemporaryFolder.remove(folder)
    }
}
