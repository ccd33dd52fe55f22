// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

struct SendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Make a buffer and pass it to another process.",
        discussion: """
            The other side is `dmabuf-share receive`, or any program that speaks PROTOCOL.md. Whichever comes first \
            listens at SOCKET; `fd:N` is a connected SOCK_SEQPACKET socket that this process was started with. \
            The memory stays valid in the receiver after this process has ended.

            EXAMPLES:
              dmabuf-share send --to /tmp/frames.sock --size 8M --fill pattern
              dmabuf-share send --to /tmp/frames.sock --from vgem --image 1920x1080:XR24 --fill frame.raw
            """)

    @Option(help: "Where to meet: a socket's path, or fd:N.")
    var to: String

    @OptionGroup var buffer: BufferOptions

    @Flag(help: "Ask the receiver to read only.")
    var readOnly = false

    @OptionGroup var options: PeerOptions

    func run() throws {
        try reporting(json: options.json) {
            let address = try PeerAddress(to)
            let deadline = Deadline.after(options.timeout.duration)
            let made = try buffer.make()
            let checksum = try made.checksum()
            var peer = try address.connect(until: deadline)
            try peer.offer(
                made, for: readOnly ? .read : .readWrite, named: buffer.name ?? "", checksum: checksum, until: deadline)
            try emit(
                PassedReport(made, name: buffer.name ?? "", checksum: checksum, peer: try peer.peer, verb: "sent"),
                json: options.json)
        }
    }
}
