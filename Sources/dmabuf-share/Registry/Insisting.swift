// SPDX-License-Identifier: Apache-2.0

import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage

/// Asks again until `end` while somebody has the buffer pinned or locked: of a stream, each is free for a moment in every
/// round. Ends with the last refusal, at once when `stop` is readable.
func insisting<Answer>(
    until end: Deadline, unless stop: borrowing Descriptor, _ ask: () throws(RegistryError) -> Answer
) throws(RegistryError) -> Answer {
    while true {
        do throws(RegistryError) { return try ask() } catch {
            guard error.isPassing, !end.hasPassed else { throw error }
            let soon = Deadline.after(.milliseconds(2))
            guard (try? Poll.wait(stop, for: .readable, until: soon))?.isEmpty == true else { throw error }
        }
    }
}

extension RegistryError {
    /// Whether others are in the way who may be gone in a moment.
    fileprivate var isPassing: Bool {
        switch self {
        case .ruledOut(.pinned), .ruledOut(.locked): true
        default: false
        }
    }
}
