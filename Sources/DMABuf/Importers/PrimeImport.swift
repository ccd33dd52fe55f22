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

extension DMABufError {
    /// An error of a device's: once it is unbound from its driver or unplugged, every call says ENODEV, and so does a
    /// driver that is asked for what it cannot do.
    static func device(
        _ operation: String, _ cause: Errno, _ node: DRMNode, remedy: String? = nil
    ) -> DMABufError {
        guard cause == .operationNotSupportedByDevice, node.isGone else {
            return .system(operation, cause, remedy: remedy)
        }
        return DMABufError(
            .gone, "\(operation): the device \(node.path) is gone", cause: cause,
            remedy: "it was unbound from its driver or unplugged; open it anew once it is back")
    }
}
