// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// One of the demo's two processes, seen from the supervisor.
struct DemoProcess: ~Copyable {
    let role: String
    let channel: DemoChannel
    private let child: ChildProcess

    /// Starts this program again in `role`, with a socket to us (3) and its end of the passing socket (4).
    init(_ role: String, exporter: String, passing: borrowing UnixSocket) throws(Errno) {
        let ends = try UnixSocket.pair()
        var descriptors = DescriptorList()
        try descriptors.appendDuplicate(of: ends.second.descriptor)
        try descriptors.appendDuplicate(of: passing.descriptor)
        try self.init(role, ["--exporter", exporter], ends.first, descriptors)
    }

    /// Likewise, with the registry at `registry` in place of the passing socket.
    init(_ role: String, exporter: String, registry: String) throws(Errno) {
        let ends = try UnixSocket.pair()
        var descriptors = DescriptorList()
        try descriptors.appendDuplicate(of: ends.second.descriptor)
        try self.init(role, ["--exporter", exporter, "--registry", registry], ends.first, descriptors)
    }

    private init(
        _ role: String, _ options: [String], _ end: consuming UnixSocket, _ descriptors: borrowing DescriptorList
    ) throws(Errno) {
        let child = try ChildProcess(
            CommandWord.words([OwnProcess.executablePath, "demo-role", role] + options),
            environment: OwnProcess.environment, descriptors: descriptors)
        self.role = role
        self.child = child
        channel = DemoChannel(end)
    }

    /// SIGKILL, and the proof that it was that.
    func kill() throws -> String {
        try child.send(.kill)
        guard try wait() == .killed(signal: 9) else { throw DemoFailure("the \(role) did not die of SIGKILL") }
        return "the \(role), process \(child.processID), with SIGKILL"
    }

    func wait() throws -> ChildProcess.Ending {
        guard let ending = try child.wait(until: .after(DemoChannel.patience)) else {
            throw DemoFailure("the \(role) does not end")
        }
        return ending
    }

    /// Ends it, whatever it does; nothing happens if it has ended.
    func abandon() {
        try? child.send(.kill)
        _ = try? child.wait(until: .after(.seconds(2)))
    }
}
