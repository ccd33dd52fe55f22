// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// As ``FailpointTests``, with memory of real exporters: what is left of it the kernel says.
@Suite("Killed at each step, on dma-bufs", .serialized, .leavesNoDescriptor)
struct KernelFailpointTests {
    private static let exporters = Backends.realExporters.filter { ["udmabuf", "heap:system", "vgem"].contains($0) }

    @Test("a client that is killed leaves no memory", arguments: exporters)
    func client(exporter: String) throws {
        try #require(FailingTool.path != nil)
        try KilledSteps(exporter: exporter).killClients()
    }

    /// Every step is for those who have longer, and for the host: see ``FailpointTests``.
    @Test("so does a registry, once its clients have gone", arguments: exporters.prefix(1))
    func registry(exporter: String) throws {
        try #require(FailingTool.path != nil)
        try KilledSteps(exporter: exporter).killRegistries(oneOf: FailingTool.rounds > 1 ? 1 : 4)
    }
}
