// SPDX-License-Identifier: Apache-2.0

import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire

extension Failpoint {
    /// As ``reach(_:_:)``, at the step that a request is part of.
    @inline(__always)
    static func reach(_ moment: Moment, _ request: borrowing Request) {
        #if FAILPOINTS
            switch copy request {
            case .register: reach(moment, .register)
            case .commitMove: reach(moment, .move)
            case let other: reach(moment, Message.request(other))
            }
        #endif
    }
}
