// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufConnection
import DMABufModel
import DMABufSystem
import DMABufWire
import Synchronization

/// The descriptors of a message, on their way between tasks and the thread. They belong to whoever has it, one at a time.
final class Sent: @unchecked Sendable {
    var descriptors: DescriptorList
    init(_ descriptors: consuming DescriptorList) { self.descriptors = descriptors }
}

/// An answer and what came with it.
struct Reply: Sendable {
    let message: Message
    private let passed: Sent

    init(_ message: Message, _ passed: Sent) {
        self.message = message
        self.passed = passed
    }

    /// Not everyone has come back after a restart.
    var isSettling: Bool {
        if case .answer(.refused(.settling)) = message { true } else { false }
    }

    func checked() throws(RegistryError) -> Reply {
        switch message {
        case .answer(.refused(let refusal)): throw .ruledOut(refusal)
        case .refused(let refusal): throw .refused(refusal)
        default: return self
        }
    }

    func attached(_ imports: borrowing Mutex<ImportCache>) throws(RegistryError) -> AttachedBuffer {
        guard case .granted(let grant) = message else { throw unexpected }
        do throws(DMABufError) {
            return try imports.withLock { (imports) throws(DMABufError) in try imports.take(grant, &passed.descriptors)
            }
        } catch { throw .local(error) }
    }

    var unexpected: RegistryError { .connection(.unexpected("another kind of answer")) }
}
