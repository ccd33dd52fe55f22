// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufWire

extension Message {
    /// What gives back what this answer to `request` granted: for one that came after its wait was given up, so that nobody
    /// has it.
    func givingBack(_ request: Message) -> Request? {
        switch (self, request) {
        case (.answer(.locked(let number, _)), _): .unlock(number)
        case (.granted(let grant), _) where !grant.isMapped: .detach(grant.attachment)
        case (.answer(.done), .request(.beginAccess(let attachment, _, _))): .endAccess(attachment)
        case (.answer(.registered(let buffer, _)), _): .withdraw(buffer)
        case (.answer(.moveBegun), .request(.beginMove(let buffer, let generation, _))):
            .abortMove(buffer, generation)
        default: nil
        }
    }
}
