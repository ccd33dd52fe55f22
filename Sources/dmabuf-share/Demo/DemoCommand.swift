// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage

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
              dmabuf-share demo --embedded --socket /tmp/demo.sock
              dmabuf-share demo --require-real --json
            """)

    @Option(help: "The exporter, one of \(ExporterBackend.grammar). Default: the best there is.")
    var from: ExporterName?

    @Flag(help: "Fail with 2 unless a real dma-buf can be shared.")
    var requireReal = false

    @Flag(help: "Serve the registry of the second act where others look for one, so that they can watch.")
    var embedded = false

    @Option(help: "With --embedded: where. Default: $DMABUF_SHARE_SOCKET, then this user's own.")
    var socket: String?

    @Flag(help: "Print as JSON, at the end.")
    var json = false

    func validate() throws {
        if socket != nil, !embedded { throw ValidationError("--socket goes with --embedded.") }
    }

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
            let place = embedded ? try servable() : nil
            let result = try DemoSupervisor(exporter: exporter, attempts: attempts, socket: place) { text in
                if !json { try write(text) }
            }.run()
            if json { try emit(result, json: true) }
            if !result.verified { throw ExitCode(Status.failed) }
        }
    }

    private func servable() throws(DMABufError) -> String {
        guard let path = socket ?? RegistryAddress.standard else {
            throw RegistryError.noRegistry(path: nil, nil).asError
        }
        if let other = try? UnixSocket.connect(to: path, until: .after(.seconds(1))), (try? other.peer) != nil {
            throw DMABufError(
                .failed, "a registry serves at \(path.escapedForDisplay) already", cause: .addressInUse,
                remedy: "name another socket, or stop it: dmabuf-share serve --stop")
        }
        if socket == nil, let end = path.lastIndex(of: "/") {
            // As `serve` does: ours to make, as the path is.
            try? Folder.create(String(path[..<end]), mode: 0o755)
        }
        return path
    }

    private func choose() throws(DMABufError) -> (any Exporter, [String]) {
        if let from { return (try ExporterBackend.open(from.text), []) }
        let (exporter, attempts) = try ExporterBackend.choose()
        return (exporter, attempts.map { $0.line.escapedForDisplay })
    }
}
