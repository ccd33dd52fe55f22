// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

/// Memory of a dma-heap. Devices `/dev/dma_heap/NAME`, root's alone on most systems, since the kernel charges this
/// memory to nobody.
public struct DMAHeapExporter: Exporter {
    public let name: String
    public let offer: MemoryOffer
    private let heap: String

    static let backend = ExporterBackend(
        "heap", .required("NAME"), candidates: { DMAHeap.names.isEmpty ? ["system"] : DMAHeap.names }
    ) { heap throws(DMABufError) in try DMAHeapExporter(heap: heap ?? "") }

    /// Throws `unavailable` where the heap is missing or closed to this user.
    public init(heap: String) throws(DMABufError) {
        _ = try attempting(
            "heap:\(heap.escapedForDisplay): open \(DMAHeap.folder)/\(heap.escapedForDisplay)",
            remedy: "needs CONFIG_DMABUF_HEAPS and read access to the heap's file"
        ) { () throws(Errno) in try DMAHeap(named: heap) }
        self.heap = heap
        name = "heap:\(heap)"
        var traits: MemoryTraits = [.cpuMappable, .kernelFences]
        // Heaps over the contiguous allocator, by the names that kernels have given them.
        if heap.contains("cma") || heap == "reserved" { traits.insert(.contiguous) }
        offer = MemoryOffer(traits, device: "\(DMAHeap.folder)/\(heap)", permission: "usually root")
    }

    public func export(_ request: BufferRequest) throws(DMABufError) -> DescribedBuffer {
        try check(request)
        let description = request.linearDescription()
        // Nobody is charged for heap memory, so asking for too much would have the kernel kill someone else.
        if let available = SystemMemory.available, description.byteCount > available {
            throw DMABufError(
                .unsupported, "\(name): \(description.byteCount) bytes asked for and \(available) available",
                cause: .noMemory, remedy: "free memory, or ask for a smaller buffer")
        }
        let buffer = try attempting("\(name): allocate \(description.byteCount) bytes") { () throws(Errno) in
            try DMAHeap(named: heap).allocate(byteCount: description.byteCount)
        }
        return try DescribedBuffer(description, memory: [DMABuffer(adopting: buffer)])
    }
}
