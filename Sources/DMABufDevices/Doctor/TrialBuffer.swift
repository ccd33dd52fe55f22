// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// A small real dma-buf, made to see whether any can be made.
final class TrialBuffer: Sendable {
    let descriptor: Descriptor
    /// "udmabuf", "heap:system", "dumb:card0".
    let exporterName: String

    private init(descriptor: consuming Descriptor, exporterName: String) {
        self.descriptor = descriptor
        self.exporterName = exporterName
    }

    /// A whole number of pages whatever their size.
    private static let byteCount: UInt64 = 65_536

    /// By the first exporter that works; nil if none does.
    static func make(of devices: DeviceList) -> TrialBuffer? {
        if let buffer = try? ofUDMABuf() { return TrialBuffer(descriptor: buffer, exporterName: "udmabuf") }
        for heap in devices.heaps where heap.obstacle == nil {
            if let buffer = try? DMAHeap(named: heap.name).allocate(byteCount: byteCount) {
                return TrialBuffer(descriptor: buffer, exporterName: "heap:\(heap.name)")
            }
        }
        for node in devices.drm where node.exportsDumbBuffers {
            if let buffer = try? ofCard(node.path) {
                return TrialBuffer(descriptor: buffer, exporterName: "dumb:\(node.name)")
            }
        }
        return nil
    }

    private static func ofUDMABuf() throws(Errno) -> Descriptor {
        let memory = try MemFD.create(named: "dmabuf-share", byteCount: byteCount)
        try MemFD.addSeals(memory, [.shrink, .grow])
        return try UDMABuf().create(from: memory, byteCount: byteCount)
    }

    static func ofCard(_ path: String) throws(Errno) -> Descriptor {
        try DRMNode(path).createDumbBuffer(width: 64, height: 64, bitsPerPixel: 32).gem.export()
    }
}

extension DRMDevice {
    var exportsDumbBuffers: Bool {
        guard case .success(let abilities) = abilities else { return false }
        return abilities.dumbBuffers && abilities.exportsPrime
    }
}
