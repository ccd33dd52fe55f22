// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// A process that this one started: signalled and awaited through its pidfd, so never mistaken for another.
public struct ChildProcess: ~Copyable, Sendable {
    public let processID: Int32
    private let pidfd: PidFD

    /// How a process ended.
    public enum Ending: Equatable, Sendable {
        case exited(Int32)
        case killed(signal: Int32)

        /// As a shell reports it: 128 + signal for one that was killed.
        public var status: Int32 {
            switch self {
            case .exited(let status): status
            case .killed(let signal): 128 + signal
            }
        }
    }

    /// Starts `arguments[0]` (looked up in `PATH`) with this process's standard streams and, from number 3 on, duplicates
    /// of `descriptors`. Everything else of ours is close-on-exec and stays here.
    ///
    /// One that is `detached` outlives whoever started it: it is in a session of its own, which no terminal's signals
    /// reach, and has the null device on its standard streams: see also ``OwnProcess/closeAll(but:)``.
    ///
    /// `noSuchFileOrDirectory` and `permissionDenied` are the command's. The corresponding C function is `posix_spawnp`.
    public init(
        _ arguments: [CommandWord], environment: [CommandWord], descriptors: borrowing DescriptorList,
        detached: Bool = false
    ) throws(Errno) {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        setPlainSignals(&attributes, detached: detached)
        if detached { for number in 0...2 { unsafe openNull(&actions, as: CInt(number)) } }
        // Two rounds: a source may sit on a number that another one is to get. The first goes above them all.
        let top = 3 + CInt(descriptors.count)
        var staged = DescriptorList()
        for index in 0..<descriptors.count {
            let number = descriptors.number(at: index)
            staged.append(adopting: try valueOrErrno { fcntl(number, F_DUPFD_CLOEXEC, top) })
            unsafe posix_spawn_file_actions_adddup2(&actions, staged.number(at: index), 3 + CInt(index))
        }
        let process = try unsafe withCStrings(arguments) { (argv) throws(Errno) in
            try unsafe withCStrings(environment) { (envp) throws(Errno) in
                var process: pid_t = 0
                let error = unsafe posix_spawnp(&process, argv[0]!, &actions, &attributes, argv, envp)
                if error != 0 { throw Errno(rawValue: error) }
                return process
            }
        }
        _ = staged.count  // kept open until the child has its copies
        let pidfd: PidFD
        do throws(Errno) { pidfd = try PidFD(process) } catch {
            // Unwatched it would outlive us.
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
            throw error
        }
        self.processID = process
        self.pidfd = pidfd
    }

    public borrowing func send(_ signal: SignalNumber) throws(Errno) { try pidfd.send(signal.rawValue) }

    /// Waits for the end and reaps it; nil at `deadline`.
    ///
    /// The corresponding C function is `waitid(P_PIDFD)`.
    public borrowing func wait(until deadline: Deadline) throws(Errno) -> Ending? {
        if try Poll.wait(pidfd.descriptor, for: .readable, until: deadline).isEmpty { return nil }
        return try reap()
    }

    /// Waits for the end and passes on the signals that arrive here: the child ends as if they had been sent to it.
    public borrowing func wait(forwarding signals: borrowing SignalFD) throws(Errno) -> Ending {
        let poller = try poller(with: signals)
        while true {
            if let ending = try wait(poller, forwarding: signals, until: nil) { return ending }
        }
    }

    /// As above; nil as soon as `other` is readable, and at `deadline`, if there is one.
    public borrowing func wait(
        forwarding signals: borrowing SignalFD, unless other: borrowing Descriptor, until deadline: Deadline?
    ) throws(Errno) -> Ending? {
        let poller = try poller(with: signals)
        try poller.add(other, token: 2)
        return try wait(poller, forwarding: signals, until: deadline)
    }

    private borrowing func poller(with signals: borrowing SignalFD) throws(Errno) -> Poller {
        let poller = try Poller()
        try poller.add(pidfd.descriptor, token: 0)
        try poller.add(signals.descriptor, token: 1)
        return poller
    }

    /// nil when there is something else to look at.
    private borrowing func wait(
        _ poller: borrowing Poller, forwarding signals: borrowing SignalFD, until deadline: Deadline?
    ) throws(Errno) -> Ending? {
        while true {
            switch try poller.next(until: deadline ?? .after(.seconds(3600))) {
            case 0:
                let ending = try reap()
                // What came after its end is nobody's any more, and not ours.
                while signals.next() != nil {}
                return ending
            case 1:
                // The terminal has told the child by itself.
                while let signal = signals.next() {
                    guard signal.isFromProcess else { continue }
                    // ESRCH: it has just ended, and its end is about to be read.
                    do throws(Errno) { try pidfd.send(signal.number) } catch {
                        guard error == .noSuchProcess else { throw error }
                    }
                }
            default: return nil
            }
        }
    }

    /// Has `poller` tell its end, whereupon ``wait(until:)`` reaps it at once.
    public borrowing func watchEnd(with poller: borrowing Poller, token: UInt64) throws(Errno) {
        try poller.add(pidfd.descriptor, token: token)
    }

    /// Its pidfd, for a fence that ends with it; the caller owns it.
    public borrowing func duplicatePidFD() throws(Errno) -> Descriptor { try pidfd.descriptor.duplicate() }

    private borrowing func reap() throws(Errno) -> Ending {
        var status: CInt = 0
        let process = processID
        try nothingOrErrno { unsafe waitpid(process, &status, 0) }
        let signal = status & 0x7f
        return signal == 0 ? .exited((status >> 8) & 0xff) : .killed(signal: signal)
    }
}

/// This process, for starting itself again.
public enum OwnProcess {
    /// The program itself, to be started again.
    public static var executablePath: String {
        let link = (try? Sysfs.link("/proc/self/exe")).map { String(decoding: $0, as: UTF8.self) }
        guard let link, FileType(at: link) == .other else { return "/proc/self/exe" }
        return link
    }
    public static var processID: Int32 { getpid() }
    public static var userID: UInt32 { getuid() }

    /// Whether a user is this process's own, or root: who can do to it whatever it could do to itself.
    public static func trusts(_ user: UInt32) -> Bool { user == 0 || user == userID }

    /// Closes all but the standard streams and `number`: what a process that outlives whoever started it has inherited, and
    /// would keep open for long. At its very start.
    ///
    /// The corresponding C function is `close_range`.
    public static func closeAll(but number: Int) throws(Errno) {
        guard let keep = UInt32(exactly: number) else { throw .badFileDescriptor }
        try nothingOrErrno { dmabuf_leave_table(keep) }
    }

    /// This process's environment as `NAME=VALUE`, byte for byte.
    public static var environment: [CommandWord] {
        var entries: [CommandWord] = []
        var position = unsafe environ
        while let entry = unsafe position.pointee {
            unsafe entries.append(CommandWord(copying: entry))
            unsafe position += 1
        }
        return entries
    }

    /// This process's arguments, byte for byte, its own name first.
    public static var arguments: [CommandWord] {
        (0..<Int(CommandLine.argc)).compactMap { index in
            unsafe CommandLine.unsafeArgv[index].map { unsafe CommandWord(copying: $0) }
        }
    }

    /// The value of an environment variable.
    public static func environment(_ name: String) -> String? {
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }

    /// Sets or, with nil, removes an environment variable. Only while the process has one thread that looks at them.
    ///
    /// The corresponding C functions are `setenv` and `unsetenv`.
    public static func setEnvironment(_ name: String, to value: String?) {
        if let value { unsafe setenv(name, value, 1) } else { unsafe unsetenv(name) }
    }
}

/// The signals that this process blocks or ignores for itself are the command's again.
private func setPlainSignals(_ attributes: inout posix_spawnattr_t, detached: Bool) {
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    var pipe = sigset_t()
    unsafe sigemptyset(&pipe)
    unsafe sigaddset(&pipe, SIGPIPE)
    unsafe posix_spawnattr_setsigdefault(&attributes, &pipe)
    // Glibc hides the flag for setsid(2) behind _GNU_SOURCE.
    let setSession: CInt = detached ? 0x80 : 0
    let flags = CInt(POSIX_SPAWN_SETSIGMASK) | CInt(POSIX_SPAWN_SETSIGDEF) | setSession
    unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
}

private func openNull(_ actions: UnsafeMutablePointer<posix_spawn_file_actions_t>, as number: CInt) {
    unsafe posix_spawn_file_actions_addopen(actions, number, "/dev/null", O_RDWR, 0)
}

private func withCStrings<Result>(
    _ words: [CommandWord], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) throws(Errno) -> Result
) throws(Errno) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe []
    for word in words { unsafe pointers.append(copyOfCString(word.bytes)) }
    unsafe pointers.append(nil)
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return try unsafe pointers.withUnsafeMutableBufferPointer { (buffer) throws(Errno) in
        try unsafe body(buffer.baseAddress!)
    }
}

/// A C string in memory of its own, for `free`.
private func copyOfCString(_ bytes: [UInt8]) -> UnsafeMutablePointer<CChar>? {
    unsafe (bytes + [0]).withUnsafeBufferPointer { buffer in
        unsafe buffer.withMemoryRebound(to: CChar.self) { unsafe strdup($0.baseAddress!) }
    }
}
