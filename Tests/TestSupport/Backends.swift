// SPDX-License-Identifier: Apache-2.0

public import DMABuf
import DMABufModel

/// The backends that a conformance suite runs over, by name: all that open on this machine, and all that it is required
/// to have whether they open or not. A new backend is in as soon as it is in the table.
public enum Backends {
    public static let everyExporter: [String] = names(
        ExporterBackend.probeAll().filter { (try? $0.result.get()) != nil }.map(\.name),
        required: ExporterBackend.isName)

    /// Those that make buffers of just the size asked for, which a test of anything else may ask for.
    public static let exporters: [String] = everyExporter.filter { name in
        !["v4l2:", "gbm:"].contains { name.hasPrefix($0) }
    }

    public static let importers: [String] = names(
        ImporterBackend.probeAll().filter { (try? $0.result.get()) != nil }.map(\.name),
        required: { $0.hasPrefix("v4l2:") }, extra: requiredNodes)

    /// A card that must be there to export from must be there to import into, and one that shows must be there to show.
    private static let requiredNodes =
        Machine.required.filter { $0.hasPrefix("dumb:") }.map { "drm:\($0.dropFirst(5))" }
        + Machine.required.filter { $0.hasPrefix("kms:") }

    public static var realExporters: [String] { exporters.filter { $0 != "memfd" } }

    /// Plain bytes from the exporter of that name.
    public static func bytes(_ count: UInt64, from exporter: String) throws(DMABufError) -> DMABuffer {
        try ExporterBackend.open(exporter).export(.bytes(count)).memory[0]
    }

    private static func names(
        _ found: [String], required isName: (String) -> Bool, extra: [String] = []
    ) -> [String] {
        found + (Machine.required.filter(isName) + extra).filter { !found.contains($0) }.sorted()
    }
}
