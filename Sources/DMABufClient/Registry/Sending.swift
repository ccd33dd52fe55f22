// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufSystem
import DMABufWire

extension Message {
    /// Throws unless it can be sent with these descriptors: what a program got wrong ends neither its connection nor itself.
    func checkSendable(with descriptors: borrowing DescriptorList) throws(RegistryError) {
        do throws(UnsendableMessage) { try checkSendable() } catch {
            throw .local(DMABufError(.invalid, error.description))
        }
        guard descriptors.count == descriptorCount else {
            throw .local(
                DMABufError(
                    .invalid, "this request comes with \(descriptorCount) descriptor(s), and has \(descriptors.count)"))
        }
    }
}
