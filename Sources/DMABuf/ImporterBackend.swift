// SPDX-License-Identifier: Apache-2.0

public typealias ImporterBackend = Backend<any Importer>

extension Backend where Product == any Importer {
    /// Every importer.
    public static var all: [ImporterBackend] {
        [
            CPUImporter.backend,
            DRMImporter.backend,
            V4L2Importer.backend,
            KMSImporter.backend,
            VulkanImporter.backend,
        ]
    }

    /// Opens everything there is on this machine, and says why not.
    public static func probeAll() -> [Attempt] { all.flatMap { $0.probe() } }

    /// Opens the importer of that name: "cpu", "drm:/dev/dri/renderD128", "kms:card0".
    public static func open(_ name: String) throws(DMABufError) -> any Importer {
        let (backend, argument) = try all.find(name, what: "importer")
        return try backend.open(argument)
    }

    /// Whether the grammar has such a name; the device may be missing all the same.
    public static func isName(_ name: String) -> Bool { (try? all.find(name, what: "importer")) != nil }
}
