// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

extension SignalFD {
    /// The signals that ask a program to end: Control-C and `kill`. Same conditions as the initialiser's.
    ///
    /// The corresponding C names are `SIGINT` and `SIGTERM`.
    public static func termination() throws(Errno) -> SignalFD { try SignalFD([.interrupt, .terminate]) }
}

extension OwnProcess {
    /// From now on this process is told to end, as by `kill`, when the thread that started it does. `noSuchProcess` if its
    /// parent is not `parent`: that has ended already.
    ///
    /// The corresponding C call is `prctl(PR_SET_PDEATHSIG)`.
    public static func end(with parent: Int32) throws(Errno) {
        try nothingOrErrno { dmabuf_end_with_parent(SIGTERM) }
        // It may have ended before that was asked for.
        guard getppid() == parent else { throw .noSuchProcess }
    }
}
