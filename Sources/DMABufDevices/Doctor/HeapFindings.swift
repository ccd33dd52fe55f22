// SPDX-License-Identifier: Apache-2.0

/// The dma-heaps, a check each; where there is none, one that says why.
struct HeapFindings {
    let heaps: [DMAHeapDevice]
    let modules: ModuleIndex

    init(_ heaps: [DMAHeapDevice], _ modules: ModuleIndex) {
        (self.heaps, self.modules) = (heaps, modules)
    }

    var checks: [Check] {
        guard heaps.isEmpty else { return heaps.map(\.check) }
        return [
            MissingPart(
                id: "heap", module: "system_heap", option: "DMABUF_HEAPS_SYSTEM",
                package:
                    "a kernel with CONFIG_DMABUF_HEAPS (Debian: linux-image-amd64 of trixie or bookworm-backports)"
            ).check(modules)
        ]
    }
}

extension DMAHeapDevice {
    fileprivate var check: Check {
        obstacle.map { .bad("heap:\(name)", $0) } ?? .good("heap:\(name)", "\(path) opens")
    }
}
