// SPDX-License-Identifier: Apache-2.0

public typealias ExporterBackend = Backend<any Exporter>

extension Backend where Product == any Exporter {
    /// Every exporter, the one to prefer first: real memory without a GPU, then devices, then the stand-in. What comes after
    /// it is there for whoever names it.
    public static var all: [ExporterBackend] {
        [
            UDMABufExporter.backend,
            DMAHeapExporter.backend,
            VGEMExporter.backend,
            DumbExporter.backend,
            MemFDExporter.backend,
            V4L2Exporter.backend,
            VulkanExporter.backend,
            GBMExporter.backend,
        ]
    }

    /// How the name of one is written: "udmabuf, heap:NAME, vgem[:NODE]" and so on.
    public static var grammar: String { all.grammar() }

    /// Opens everything there is on this machine, in the order of preference, and says why not.
    public static func probeAll() -> [Attempt] { all.flatMap { $0.probe() } }

    /// Opens the exporter of that name: "vgem", "heap:system", "dumb:/dev/dri/card0".
    public static func open(_ name: String) throws(DMABufError) -> any Exporter {
        let (backend, argument) = try all.find(name, what: "exporter")
        return try backend.open(argument)
    }

    /// Whether the grammar has such a name; the device may be missing all the same.
    public static func isName(_ name: String) -> Bool { (try? all.find(name, what: "exporter")) != nil }

    /// The best exporter of this machine, with every attempt up to it. Throws `unavailable`, with every attempt.
    public static func choose() throws(DMABufError) -> (exporter: any Exporter, attempts: [Attempt]) {
        var attempts: [Attempt] = []
        for backend in all {
            for attempt in backend.probe() {
                attempts.append(attempt)
                if case .success(let exporter) = attempt.result { return (exporter, attempts) }
            }
        }
        throw DMABufError(.unavailable, "no exporter works on this machine", tried: attempts.map(\.line))
    }
}
