// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

/// Ordinary memory as a dma-buf. Device `/dev/udmabuf`, usually of group kvm; the module's `size_limit_mb` bounds a
/// buffer (64 MiB on many kernels).
///
/// The memfd behind the buffer is closed at once: whoever holds both could punch a hole in it, after which file and
/// dma-buf show different memory for good.
public struct UDMABufExporter: Exporter {
    public let name = "udmabuf"
    public let offer: MemoryOffer

    static let backend = ExporterBackend("udmabuf", .none) { _ throws(DMABufError) in try UDMABufExporter() }

    /// Throws `unavailable` where `/dev/udmabuf` is missing or closed to this user.
    public init() throws(DMABufError) {
        _ = try attempting("udmabuf: open \(UDMABuf.path)", remedy: "load the module udmabuf, or join its group (kvm)")
        {
            () throws(Errno) in try UDMABuf()
        }
        offer = MemoryOffer(
            [.cpuMappable, .kernelFences], sizeLimit: UDMABuf.sizeLimit, device: UDMABuf.path, permission: "group kvm")
    }

    public func export(_ request: BufferRequest) throws(DMABufError) -> DescribedBuffer {
        try check(request)
        let description = request.linearDescription(pageSize: SystemMemory.pageSize)
        let byteCount = description.byteCount
        let buffer = try attempting("udmabuf: make a buffer of \(byteCount) bytes") { () throws(Errno) in
            let memory = try MemFD.create(named: "dmabuf-share", byteCount: byteCount)
            try MemFD.addSeals(memory, [.shrink, .grow])
            return try UDMABuf().create(from: memory, byteCount: byteCount)
        }
        return try DescribedBuffer(description, memory: [DMABuffer(adopting: buffer)])
    }
}
