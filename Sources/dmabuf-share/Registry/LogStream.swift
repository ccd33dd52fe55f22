// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import Synchronization

/// Standard error for a daemon's log. Nobody who does not read it can hold the daemon up: what there is no room for is lost,
/// and the next line that there is room for says how much.
final class LogStream: TextOutputStream, Sendable {
    private let lost = Mutex(0)

    func write(_ line: String) {
        lost.withLock { lost in
            let before = lost == 0 ? "" : "\(lost) lines lost: nobody has read the log\n"
            lost = StandardStream.error.tryWrite(before + line) ? 0 : lost + 1
        }
    }
}
