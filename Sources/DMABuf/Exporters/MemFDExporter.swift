// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

/// The stand-in: sealed anonymous memory that can be passed and mapped like a dma-buf where the kernel has none. No
/// device takes it, no kernel fence guards it, and nothing counts its references.
public struct MemFDExporter: Exporter {
    public let name = "memfd"
    public let offer = MemoryOffer([.cpuMappable, .standIn])

    static let backend = ExporterBackend("memfd", .none) { _ throws(DMABufError) in MemFDExporter() }

    private static let seals: MemFD.Seals = [.shrink, .grow, .seal]

    public init() {}

    public func export(_ request: BufferRequest) throws(DMABufError) -> DescribedBuffer {
        try check(request)
        let description = request.linearDescription()
        let byteCount = description.byteCount
        let memory = try attempting("memfd: make \(byteCount) bytes") { () throws(Errno) in
            let memory = try MemFD.create(named: "dmabuf-share", byteCount: byteCount)
            // The size is fixed for everyone from here on; writing stays allowed.
            try MemFD.addSeals(memory, Self.seals)
            return memory
        }
        return DescribedBuffer(description, ownMemfd: DMABuffer(ownMemfd: memory, byteCount: byteCount))
    }
}
