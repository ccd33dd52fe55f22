// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// Bounds every interruptible wait of a loop that serves strangers.
///
/// The last reference to a stranger's file may go away in a call of ours that closes nothing: the kernel drops descriptors
/// that had no room in a message, and those of messages that were never read. If it is a TCP socket that lingers, that call
/// waits for its peer, for as long as the stranger has chosen. A signal ends such a wait; so one comes every 20 ms while
/// the loop is at work.
///
/// The corresponding C functions are `sigaction(SIGALRM)` and `setitimer(ITIMER_REAL)`. Threads other than the loop's must
/// have the signal blocked.
@safe
public struct WaitLimit: ~Copyable {
    private static let microseconds = 20_000
    private var isOn = false

    public init() throws(Errno) {
        // Without SA_RESTART: the call is to end. A handler of its own, for an ignored signal interrupts nothing.
        var action = sigaction()
        unsafe action.__sigaction_handler.sa_handler = { _ in }
        try nothingOrErrno { unsafe sigaction(SIGALRM, &action, nil) }
    }

    /// To be called before work. It costs a system call only the first time after ``rest()``.
    public mutating func work() {
        if !isOn { set(Self.microseconds) }
        isOn = true
    }

    /// To be called when a wait for work was interrupted and there was none.
    public mutating func rest() {
        if isOn { set(0) }
        isOn = false
    }

    private func set(_ microseconds: Int) {
        let interval = timeval(tv_sec: 0, tv_usec: microseconds)
        var timer = itimerval(it_interval: interval, it_value: interval)
        unsafe setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
    }

    deinit { set(0) }
}
