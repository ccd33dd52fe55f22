// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

struct PlayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "play",
        abstract: "Give a stream's frames to a video output.",
        discussion: """
            Takes one frame of the stream after the other, each when it is whole, and queues it as it is: nothing is copied. \
            What the device has is pinned, and has a read fence until the device gives it back.

            Ends with the stream, on a signal or after --frames. When the producer dies that is an error.

            EXAMPLES:
              dmabuf-share play cam0 --into v4l2:/dev/video1
              dmabuf-share play cam0 --into v4l2:video1 --frames 300 --json
            """)

    @Argument(help: "The stream's name.", completion: .streamNames)
    var name: String

    @OptionGroup var user: UserOption

    @Option(help: ArgumentHelp("The output: v4l2:NODE, a path or its last part.", valueName: "device"))
    var into: VideoNodeName

    @Option(help: ArgumentHelp("End after so many frames.", valueName: "count"))
    var frames: UInt64?

    @OptionGroup var options: RegistryOptions

    func validate() throws {
        guard frames != 0 else { throw ValidationError("Play one frame at least.") }
    }

    func run() throws {
        try asking(options) { registry in
            let signals = try terminationSignals()
            defer { while signals.next() != nil {} }
            let reader = try find(&registry)
            var queue = try VideoQueue(node: into.node, .output)
            try queue.adopt(reader.buffers[0])
            try queue.importBuffers(reader.count)
            try emit(
                StreamReport("playing", name, queue.name, reader.identifiers, reader.buffers[0]), json: options.json)
            var stream = PlayStream(queue, reader, patience: options.timeout.duration)
            try stream.run(&registry, frames: frames, unless: signals)
            try emit(stream.end(&registry), json: options.json)
        }
    }

    private func find(_ registry: inout RegistryConnection) throws -> PoolReader {
        do throws(RegistryError) {
            return try PoolReader(name, of: user.of, pins: true, in: &registry, until: options.deadline)
        } catch {
            guard case .ruledOut(.noSuchBuffer) = error else { throw error }
            throw DMABufError(
                .refused, "there is no stream \(name.quotedForDisplay)",
                remedy: "make one: dmabuf-share capture --from v4l2:video0 --share \(name.quotedForDisplay)")
        }
    }
}
