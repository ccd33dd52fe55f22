// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufConnection
import DMABufModel
import DMABufSystem

/// Two processes, one buffer: run `Example send SOCKET` and `Example receive SOCKET`, in any order.
@main
enum Example {
    static func main() async throws {
        switch CommandLine.arguments.dropFirst().first {
        case "send" where CommandLine.argc == 3: try await send(at: CommandLine.arguments[2])
        case "receive" where CommandLine.argc == 3: try receive(at: CommandLine.arguments[2])
        default: print("usage: Example send|receive SOCKET")
        }
    }

    static func send(at socket: String) async throws {
        // Export: an image from the best exporter of this machine.
        let exporter = try ExporterBackend.choose().exporter
        let frame = try exporter.export(.image(width: 640, height: 480, format: .xrgb8888))
        print("\(exporter.name): \(frame.memory[0].byteCount) bytes, inode \(frame.memory[0].inode)")

        // Fence: the work is under way before it is promised, and says when it has ended.
        let written = try EventFD()
        let fence = try Fence(adopting: written.descriptor.duplicate())
        let drawing = Task.detached {
            try draw(on: frame.memory[0])
            try written.signal()
        }

        // Pass: description, memory and fence are one message.
        let deadline = Deadline.after(.seconds(30))
        var peer = try BufferPeer(Rendezvous.meet(at: socket, until: deadline), until: deadline)
        try peer.offer(
            frame, for: .read, named: "frame", fences: [PromisedFence(fence, as: .write)], until: deadline)
        try await drawing.value
    }

    static func draw(on memory: DMABuffer) throws(DMABufError) {
        var mapping = try CPUImporter().attach(memory, for: .readWrite).map()
        try mapping.withWriteAccess { bytes in Pattern.fill(&bytes) }
    }

    static func receive(at socket: String) throws {
        let deadline = Deadline.after(.seconds(30))
        var peer = try BufferPeer(Rendezvous.meet(at: socket, until: deadline), until: deadline)

        // What comes is what it was called, and its description fits its real size; else this throws.
        let offer = try peer.nextOffer(until: deadline)
        let memory = offer.buffer.memory[0]
        print("from process \(try peer.peer.process): \"\(offer.name)\", inode \(memory.inode)")

        // Wait, then read inside the bracket: no pointer leaves it, and it ends by itself.
        try offer.waitForFences(before: .read)
        let mapping = try CPUImporter().attach(memory, for: .read).map()
        let checksum = try mapping.withReadAccess { bytes in
            var checksum = Checksum()
            checksum.add(bytes)
            return checksum
        }
        print("checksum \(checksum) of \(memory.kind.rawValue) memory")
    }
}
