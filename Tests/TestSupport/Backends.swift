// SPDX-License-Identifier: Apache-2.0

public import DMABuf
import DMABufModel

/// The backends that a conformance suite runs over: all that this machine has, by name.
public enum Backends {
    public static let exporters: [String] =
        ["memfd"]
        + ["vgem", "udmabuf", "heap:system", "dumb:card0", "dumb:card2"].filter(Machine.has)

    public static let importers: [String] =
        ["cpu"]
        + ["drm:card0", "drm:card1", "drm:card2"].filter {
            Machine.has("dumb:\($0.dropFirst(4))") || Machine.has("vgem") && $0 == "drm:card1"
        }

    public static var realExporters: [String] { exporters.filter { $0 != "memfd" } }

    /// Plain bytes from the exporter of that name.
    public static func bytes(_ count: UInt64, from exporter: String) throws(DMABufError) -> DMABuffer {
        try ExporterBackend.open(exporter).export(.bytes(count)).memory[0]
    }
}
