// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// How far a watched process has come, where its watcher can still read it after a trap.
struct Progress: Sendable {
    /// The first descriptor that a process is started with after its standard streams.
    private let file = FileDescriptor(rawValue: 3)
    private static let digits = 20

    func note(_ number: Int) {
        let text = "\(number)"
        let padded = String(repeating: " ", count: Self.digits - text.count) + text
        // Without a watcher there is nobody to tell.
        _ = try? file.writeAll(toAbsoluteOffset: 0, padded.utf8)
    }
}

/// This program once more, in a process of its own.
enum WatchedProcess {
    /// How it ended, and what it noted last.
    static func run(_ arguments: [CommandWord], isSilent: Bool = false) throws(Errno) -> (ChildProcess.Ending, Int) {
        let noted = try MemFD.create(named: "progress", byteCount: 0)
        var descriptors = DescriptorList()
        try descriptors.appendDuplicate(of: noted)
        let signals = try SignalFD.termination()
        let shell: [CommandWord] = isSilent ? ["sh", "-c", "exec \"$0\" \"$@\" 2>/dev/null"] : []
        let child = try ChildProcess(
            shell + [CommandWord(OwnProcess.executablePath)] + arguments,
            // A backtrace of each attempt takes seconds, and the scenario says more.
            environment: OwnProcess.environment + ["SWIFT_BACKTRACE=enable=no"], descriptors: descriptors)
        let ending = try child.wait(forwarding: signals)
        let text = String(decoding: try Sysfs.bytes("/proc/self/fd/\(noted.numberForDisplay)"), as: UTF8.self)
        return (ending, text.split(separator: " ").first.flatMap { Int($0) } ?? 0)
    }
}
