// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufModel
import DMABufSystem

struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Show and verify the whole story: export, pass, fence, import, kill, release; then by the registry.",
        discussion: """
            Two processes pass one buffer. Then an owner and three importers share one through a registry: it is pinned, \
            moved under them, fenced, and each party is killed in turn. Every step is checked; the closing line says whether it was a real dma-buf \
            or the stand-in that takes its place where the kernel has none.

            EXIT STATUS: 0 every step verified, 1 a step failed, 2 with --require-real where there is only the stand-in.

            EXAMPLES:
              dmabuf-share demo
              dmabuf-share demo --from vgem
              dmabuf-share demo --require-real --json
            """)

    @Option(help: "The exporter, one of \(ExporterBackend.grammar). Default: the best there is.")
    var from: ExporterName?

    @Flag(help: "Fail with 2 unless a real dma-buf can be shared.")
    var requireReal = false

    @Flag(help: "Print as JSON, at the end.")
    var json = false

    func run() throws {
        try reporting(json: json) {
            let (exporter, attempts) = try choose()
            if requireReal, exporter.offer.traits.contains(.standIn) {
                throw DMABufError(
                    .unavailable,
                    from == nil
                        ? "only the stand-in exists on this machine" : "memfd is a stand-in and no real dma-buf",
                    remedy: "`dmabuf-share doctor` says what is missing", tried: attempts)
            }
            let result = try DemoSupervisor(exporter: exporter, attempts: attempts) { text in
                if !json { try write(text) }
            }.run()
            if json { try emit(result, json: true) }
            if !result.verified { throw ExitCode(Status.failed) }
        }
    }

    private func choose() throws(DMABufError) -> (any Exporter, [String]) {
        if let from { return (try ExporterBackend.open(from.text), []) }
        let (exporter, attempts) = try ExporterBackend.choose()
        return (exporter, attempts.map { $0.line.escapedForDisplay })
    }
}
