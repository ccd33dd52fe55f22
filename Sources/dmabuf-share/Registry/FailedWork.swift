// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

extension RegistryConnection {
    /// Says on standard error that whoever wrote last has failed, for content that is about to be used all the same. A later
    /// write that ends well makes it good.
    mutating func tellFailedWork(of attached: AttachedBuffer, _ name: String, until deadline: Deadline) {
        guard
            case .snapshot(let status, _) = try? ask(.snapshot(attached.attachment, .write), until: deadline),
            status != .pending, status != .ok
        else { return }
        note("\(name): the last work that wrote it has failed (\(status.words)): it may have part of it")
    }
}
