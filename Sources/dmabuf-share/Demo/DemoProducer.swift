// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

/// The process that makes the buffer, writes it under a fence, and is killed.
enum DemoProducer {
    static let image = BufferRequest.image(width: 640, height: 480, format: .xrgb8888)

    static func run(_ channel: borrowing DemoChannel, _ peer: inout BufferPeer, exporter name: String) throws {
        var made: DescribedBuffer?
        try channel.step("export") {
            let buffer = try ExporterBackend.open(name).export(image)
            made = buffer
            return
                "\(humanBytes(buffer.description.byteCount)), 640x480 XR24, from \(name); inode \(buffer.memory[0].inode)"
        }
        guard let buffer = made else { return }
        try channel.send("inode\t\(buffer.memory[0].inode)")
        let checksum = Pattern.checksum(byteCount: Int(buffer.description.sizes[0]))

        // The write is under way (its bracket is open) when the buffer is passed: the fence is what the reader waits for.
        var mapping = try CPUImporter().attach(buffer.memory[0], for: .readWrite).map()
        let promise = try mapping.withWriteAccess { bytes in
            Result {
                let pending = try DemoFence.pending(on: buffer.memory[0])
                try channel.step("pass") {
                    try peer.offer(
                        buffer, for: .readWrite, named: "demo frame", checksum: checksum,
                        fences: [PromisedFence(pending.fence, as: .write, within: .seconds(8))],
                        until: .after(DemoChannel.patience))
                    return
                        "one message: description, \(buffer.kind.rawValue) and a pending \(pending.fence.kind.rawValue)"
                }
                guard try channel.receive() == "write" else { throw DemoFailure("told something else than to write") }
                try channel.step("write") {
                    Pattern.fill(&bytes)
                    return "the producer writes the pattern, and signals the fence"
                }
                return SignalOnce(pending)
            }
        }
        try promise.get().signal()
        mapping.unmap()
        _ = try? channel.receive()  // until SIGKILL, or the supervisor's own end
    }
}

/// Carries the fence out of the closure that made it: a `Result` cannot hold what is not copyable.
private final class SignalOnce {
    private var pending: DemoFence?

    init(_ pending: consuming DemoFence) {
        self.pending = consume pending
    }

    func signal() throws(DMABufError) {
        try pending.take()?.signal()
    }
}
