// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage

/// What the importers of DRM devices share: PRIME, and whose buffers cannot come in by it.
extension DRMNode {
    /// Whose dma-bufs the driver imports, nil for anyone's.
    var origin: Requirements.Origin? {
        if !importsPrime {
            return Requirements.Origin(exporters: [], reason: "\(driver) lacks DRM_PRIME_CAP_IMPORT")
        }
        if driver == VirtIOGPU.driver, !VirtIOGPU.hasBlobResources(self) {
            return Requirements.Origin(
                exporters: [VirtIOGPU.driver],
                reason: "\(driver) imports foreign dma-bufs only with blob resources, which this device has not")
        }
        return nil
    }

    func importBuffer(_ buffer: DMABuffer, importer: String) throws(DMABufError) -> GEMBuffer {
        do throws(Errno) { return try importBuffer(buffer.descriptor) } catch {
            throw .device("\(importer): import dma-buf \(buffer.inode) of \(buffer.exporterName)", error, self)
        }
    }
}
