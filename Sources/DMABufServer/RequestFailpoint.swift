// SPDX-License-Identifier: Apache-2.0

import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire

extension Failpoint {
    /// The rules have decided, and nothing of it is done.
    @inline(__always)
    static func reachDecided(_ request: borrowing Request) {
        #if FAILPOINTS
            switch copy request {
            case .register: reach(.during, .register)
            case .commitMove: reach(.during, .move)
            case let other: reach(.during, Message.request(other))
            }
        #endif
    }
}
