// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// What this thread asks of the kernel, as strace sees it.
enum Trace {
    static var isPossible: Bool {
        let isThere = (try? Running(["strace", "-V"]).finish())?.status == 0
        let scope = (try? Sysfs.bytes("/proc/sys/kernel/yama/ptrace_scope", limit: 8)) ?? []
        return isThere && (OwnProcess.userID == 0 || !scope.contains { $0 >= 0x31 && $0 <= 0x33 })
    }

    static func calls(_ body: () throws -> Void) throws -> [String] {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let strace = try Running(["strace", "-f", "-o", "\(folder)/trace", "-p", "\(OwnProcess.processID)"])
        try wait { try isTraced() }
        _ = FileType(at: "/begin-of-trace")
        let result = Result { try body() }
        _ = FileType(at: "/end-of-trace")
        try strace.send(.interrupt)
        _ = try strace.finish()
        try result.get()
        let lines = String(decoding: try Sysfs.bytes("\(folder)/trace", limit: 16 << 20), as: UTF8.self)
            .split(separator: "\n").map(String.init)
        guard let begin = lines.firstIndex(where: { $0.contains("/begin-of-trace") }),
            let end = lines.firstIndex(where: { $0.contains("/end-of-trace") })
        else { throw Errno.noSuchFileOrDirectory }
        // Of other threads nothing counts.
        let thread = lines[begin].prefix { $0 != " " }
        return lines[begin...].dropFirst().prefix(end - begin - 1).filter { $0.hasPrefix(thread + " ") }
    }

    private static func isTraced() throws -> Bool {
        let status = String(decoding: try Sysfs.bytes("/proc/thread-self/status", limit: 8192), as: UTF8.self)
        return !status.contains("TracerPid:\t0\n")
    }
}
