// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
public import DMABufSystem

extension RegistryConnection {
    /// As ``add(_:to:_:lock:until:)``, with a slot of its own: one is reserved where none is left, as after a fence whose
    /// time was over.
    @discardableResult
    public mutating func addReserving(
        _ fence: Fence, to attachment: AttachmentID, _ terms: FenceTerms, lock: LockNumber? = nil,
        until deadline: Deadline
    ) throws(RegistryError) -> FenceID {
        do throws(RegistryError) {
            return try add(fence, to: attachment, terms, lock: lock, until: deadline)
        } catch {
            guard case .ruledOut(.notReserved) = error else { throw error }
            try ask(.reserve(attachment, slots: 1), until: deadline)
            return try add(fence, to: attachment, terms, lock: lock, until: deadline)
        }
    }
}
