// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

extension SignalFD {
    /// The signals that ask a program to end: Control-C and `kill`. Same conditions as the initialiser's.
    ///
    /// The corresponding C names are `SIGINT` and `SIGTERM`.
    public static func termination() throws(Errno) -> SignalFD { try SignalFD([.interrupt, .terminate]) }
}
