// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufSystem

/// A buffer of vgem whose fence is another's to wait for.
struct OtherBuffer: ~Copyable {
    let gem: GEMBuffer
    let memory: DMABuffer

    init() throws {
        let node = try VGEM.open()
        let descriptor = try node.createDumbBuffer(width: 64, height: 64, bitsPerPixel: 32).gem.export()
        let gem = try node.importBuffer(descriptor)
        memory = try DMABuffer(adopting: descriptor)
        self.gem = gem
    }
}
