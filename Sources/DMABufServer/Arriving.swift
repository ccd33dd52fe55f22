// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufWire

/// What came with the request that is being decided. What the rules do not take is closed with it.
struct Arriving {
    /// Who asks: numbers are each client's own.
    var client: ClientConnection?
    var number = RequestNumber(0)
    var memory: MemoryTable.Entry?
    /// The generation that the memory is to become; nil for a new buffer, whose number comes with the answer.
    var generation: GenerationKey?
    var fence: Fence?
}
