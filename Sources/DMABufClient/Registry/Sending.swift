// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire

extension Message {
    /// Throws for what is answered with memory, which only its own call can take.
    func checkAskable() throws(RegistryError) {
        guard case .request(let request) = self else { return }
        switch request {
        case .attach, .attachNamed, .map, .inspect:
            throw .local(
                DMABufError(.invalid, "a request that is answered with memory", remedy: "call attach, map or inspect"))
        default: break
        }
    }

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
