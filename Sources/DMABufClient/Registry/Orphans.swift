// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufWire

extension Message {
    /// What gives back what this answer granted: for one that came after its wait was given up, so that nobody has it.
    var givingBack: Request? {
        switch self {
        case .answer(.locked(let number, _)): .unlock(number)
        case .granted(let grant) where !grant.isMapped: .detach(grant.attachment)
        default: nil
        }
    }
}
