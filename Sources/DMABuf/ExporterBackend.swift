// SPDX-License-Identifier: Apache-2.0

import DMABufSystem

/// A kind of exporter: its word in the grammar of names, where it can be found, and how it is opened.
public struct ExporterBackend: Sendable {
    /// "vgem", "heap".
    public let word: String
    /// What may stand behind the colon on this machine; nil stands for the bare word.
    let arguments: @Sendable () -> [String?]
    let open: @Sendable (String?) throws(DMABufError) -> any Exporter

    /// Every backend, the one to prefer first: real memory without a GPU, then devices, the stand-in last.
    public static let all: [ExporterBackend] = [
        UDMABufExporter.backend,
        DMAHeapExporter.backend,
        VGEMExporter.backend,
        DumbExporter.backend,
        MemFDExporter.backend,
    ]

    /// What happened when a candidate was opened.
    public struct Attempt: Sendable {
        public let name: String
        public let result: Result<any Exporter, DMABufError>
    }

    /// Opens everything there is on this machine, in the order of preference, and says why not.
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

    /// Opens the exporter of that name: "vgem", "heap:system", "dumb:/dev/dri/card0".
    public static func open(_ name: String) throws(DMABufError) -> any Exporter {
        let parts = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let backend = all.first(where: { $0.word == parts[0] }), parts.count == 1 || !parts[1].isEmpty else {
            throw DMABufError(
                .invalid, "no exporter is called \"\(name.escapedForDisplay)\"",
                remedy: "one of vgem[:NODE] udmabuf heap:NAME dumb:NODE memfd")
        }
        return try backend.open(parts.count == 2 ? String(parts[1]) : nil)
    }

    /// The best exporter of this machine, with every attempt before it.
    public static func choose() throws(DMABufError) -> (exporter: any Exporter, attempts: [Attempt]) {
        var attempts: [Attempt] = []
        for attempt in probeAll() {
            attempts.append(attempt)
            if case .success(let exporter) = attempt.result { return (exporter, attempts) }
        }
        throw DMABufError(
            .unavailable, "no exporter works on this machine", tried: attempts.map(\.line))
    }
}

extension ExporterBackend.Attempt {
    /// One line: what was tried and how it went.
    public var line: String {
        switch result {
        case .success: "\(name): works"
        case .failure(let error): "\(error.message.hasPrefix(name) ? "" : "\(name): ")\(error.message)"
        }
    }
}
