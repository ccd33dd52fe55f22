// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The locks on an open file. Any holder of a dma-buf may take any number of them; each is a line of its fdinfo before all
/// that the dma-buf has to say, and they stay as long as the file is open anywhere.
enum FileLocks {
    /// Takes off every lock that belongs to the open file, whoever made it. Only of what is known to be the kernel's own: a
    /// strange file is asked, and may not answer.
    ///
    /// The corresponding C calls are `fcntl(F_OFD_SETLK)` with `F_UNLCK`, Linux 3.15, and `flock(LOCK_UN)`.
    static func takeOff(_ number: CInt) {
        var everything = Glibc.flock()
        everything.l_type = Int16(F_UNLCK)
        _ = unsafe fcntl(number, 37, &everything)
        _ = flock(number, LOCK_UN)
    }
}
