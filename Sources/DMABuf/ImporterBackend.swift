// SPDX-License-Identifier: Apache-2.0

import DMABufSystem

/// A kind of importer: its word in the grammar of names, where it can be found, and how it is opened.
public struct ImporterBackend: Sendable {
    /// "cpu", "drm".
    public let word: String
    let arguments: @Sendable () -> [String?]
    let open: @Sendable (String?) throws(DMABufError) -> any Importer

    public static let all: [ImporterBackend] = [
        CPUImporter.backend,
        DRMImporter.backend,
    ]

    public struct Attempt: Sendable {
        public let name: String
        public let result: Result<any Importer, DMABufError>
    }

    /// Opens everything there is on this machine, and says why not.
    public static func probeAll() -> [Attempt] {
        all.flatMap { backend in
            backend.arguments().map { argument in
                let name = argument.map { "\(backend.word):\($0)" } ?? backend.word
                do throws(DMABufError) {
                    return Attempt(name: name, result: .success(try backend.open(argument)))
                } catch {
                    return Attempt(name: name, result: .failure(error))
                }
            }
        }
    }

    /// Opens the importer of that name: "cpu", "drm:card0", "drm:/dev/dri/renderD128".
    public static func open(_ name: String) throws(DMABufError) -> any Importer {
        let parts = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let backend = all.first(where: { $0.word == parts[0] }), parts.count == 1 || !parts[1].isEmpty else {
            throw DMABufError(
                .invalid, "no importer is called \"\(name.escapedForDisplay)\"", remedy: "one of cpu drm:NODE")
        }
        return try backend.open(parts.count == 2 ? String(parts[1]) : nil)
    }
}
