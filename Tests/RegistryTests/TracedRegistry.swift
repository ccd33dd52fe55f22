// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

/// A registry whose system calls are written down.
struct TracedRegistry: ~Copyable {
    private let tracer: Running
    private let folder: String
    let socket: String
    private let hasVault: Bool

    init(hasVault: Bool = false) throws {
        let folder = try TemporaryFolder.make()
        let socket = "\(folder)/registry.sock"
        let tracer = try Running(
            [
                "strace", "-f", "-qq", "-o", "\(folder)/trace", Tool.path, "serve", "--socket", socket,
            ] + (hasVault ? [] : ["--no-vault"]))
        // The file is there before anybody listens on it.
        try wait { (try? UnixSocket.connect(to: socket, until: .after(.seconds(1)))) != nil }
        self.folder = folder
        self.socket = socket
        self.hasVault = hasVault
        self.tracer = tracer
    }

    /// How often each was made so far, by the daemon and not its vault. The tracer writes a line when it is whole, and the last few are on their way.
    borrowing func calls() -> [String: Int] {
        Clock.sleep(.milliseconds(200))
        var counts: [String: Int] = [:]
        let daemon = (try? daemonID()) ?? 0
        for line in (Sysfs.text("\(folder)/trace") ?? "").split(separator: "\n") {
            // Process, spaces, name, arguments.
            let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true)
            guard words.count > 1, Int32(words[0]) == daemon else { continue }
            let call = words[1]
            // The clock that bounds waits ticks the oftener, the slower the machine is: that wait is made again.
            if line.contains("epoll_pwait2"), line.contains("EINTR") {
                // The rest of one that was counted.
                if call == "<..." { counts["epoll_pwait2", default: 0] -= 1 }
                continue
            }
            guard let end = call.firstIndex(of: "(") else { continue }
            // As the C library has it: the two are one.
            let name = call[..<end] == "newfstatat" ? "fstat" : String(call[..<end])
            counts[name, default: 0] += 1
        }
        return counts
    }

    /// What the tracer traces is its only child.
    borrowing func daemonID() throws -> Int32 {
        let children = Sysfs.text("/proc/\(tracer.processID)/task/\(tracer.processID)/children") ?? ""
        return try #require(Int32(children.split(separator: " ").first ?? ""))
    }

    /// The tracer ends with it.
    consuming func stop() throws {
        if hasVault {
            #expect(try Tool.run("serve", "--stop", "--socket", socket).status == 0)
        } else {
            try PidFD(try daemonID()).send(SignalNumber.terminate.rawValue)
        }
        #expect(try tracer.finish().status == 0)
        TemporaryFolder.remove(folder)
    }
}
