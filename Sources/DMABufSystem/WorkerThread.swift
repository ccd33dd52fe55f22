// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// A thread of its own, for a call that blocks and so must stay off the cooperative pool. Joined when the value ends, so
/// it never outlives its owner: tell its body to return before that, and never let the body own the value.
@safe
public struct WorkerThread: ~Copyable, @unchecked Sendable {
    private let thread: pthread_t

    /// Starts `body` under a name for people, which `top -H` shows 15 bytes of. All signals are blocked in it: they belong to the threads that ask for them.
    ///
    /// The corresponding C function is `pthread_create`. Throws `resourceTemporarilyUnavailable` at the limit of
    /// threads.
    public init(named name: String, _ body: @escaping @Sendable () -> Void) throws(Errno) {
        // A new thread inherits the mask of the one that makes it.
        var (everything, previous) = (sigset_t(), sigset_t())
        unsafe sigfillset(&everything)
        unsafe pthread_sigmask(SIG_BLOCK, &everything, &previous)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &previous, nil) }
        let start = unsafe Unmanaged.passRetained(ThreadStart(name: name, body: body))
        var thread = pthread_t()
        let error = unsafe pthread_create(&thread, nil, runThread, start.toOpaque())
        if error != 0 {
            unsafe start.release()
            throw Errno(rawValue: error)
        }
        self.thread = thread
    }

    /// The corresponding C function is `pthread_join`.
    deinit { pthread_join(thread, nil) }
}

private final class ThreadStart: Sendable {
    private let name: String
    private let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }

    func run() {
        // Linux 3.17; glibc hides its function behind _GNU_SOURCE. Only for people, so it may fail.
        try? Descriptor.open("/proc/thread-self/comm", .readWrite).write(name)
        body()
    }
}

/// What `body` holds is released before the thread ends, so whoever joined it knows that it is gone.
private func runThread(_ start: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let start = unsafe start { unsafe Unmanaged<ThreadStart>.fromOpaque(start).takeRetainedValue().run() }
    return nil
}
