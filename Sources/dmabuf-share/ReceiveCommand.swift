// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

struct ReceiveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive",
        abstract: "Take a buffer from another process, and verify, save or import it.",
        discussion: """
            The buffer's descriptors are identified and its description is checked against their real sizes before \
            anything is read; fences are waited for.

            EXAMPLES:
              dmabuf-share receive --from /tmp/frames.sock --verify
              dmabuf-share receive --from /tmp/frames.sock --out frame.raw
              dmabuf-share receive --from /tmp/frames.sock --into drm:/dev/dri/card0
            """)

    @Option(help: "Where to meet: a socket's path, or fd:N.")
    var from: String

    @Flag(help: "Compare the content with the sender's checksum; differing is a failure.")
    var verify = false

    @Option(help: "Write the content to this file.")
    var out: String?

    @Option(help: "Import into this importer: cpu, drm:NODE, kms:NODE, v4l2:NODE or vulkan[:N].")
    var into: ImporterName?

    @OptionGroup var options: PeerOptions

    func run() throws {
        try reporting(json: options.json) {
            let address = try PeerAddress(from)
            let importer = try into.map { name throws(DMABufError) in try ImporterBackend.open(name.text) }
            let deadline = Deadline.after(options.timeout.duration)
            var peer = try address.connect(until: deadline)
            let offer = try peer.nextOffer(until: deadline) { importer?.exclusion(of: $0.buffer) }
            try offer.waitForFences(before: .read, until: deadline)
            if let importer {
                for memory in offer.buffer.memory { try importer.attach(memory, for: offer.access).detach() }
            }
            let checksum = try verify ? verified(offer) : nil
            if let out { try offer.buffer.copy(to: out) }
            try emit(
                PassedReport(
                    offer.buffer, name: offer.name, checksum: checksum, peer: try peer.peer, verb: "received",
                    importer: importer?.name),
                json: options.json)
        }
    }

    private func verified(_ offer: ReceivedOffer) throws(DMABufError) -> Checksum {
        guard let expected = offer.checksum else {
            throw DMABufError(.failed, "the sender gave no checksum to verify", remedy: "leave --verify away")
        }
        let found = try offer.buffer.checksum()
        guard found == expected else {
            throw DMABufError(
                .failed, "the content differs: checksum \(found) read and \(expected) promised")
        }
        return found
    }
}
