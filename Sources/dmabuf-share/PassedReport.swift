// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem

/// What `send` and `receive` tell about the buffer that went over.
struct PassedReport: Report {
    let kind: String
    let exporter: String
    let inodes: [UInt64]
    let sizes: [UInt64]
    let name: String
    let image: Image?
    let checksum: String?
    let peerPid: Int32
    let peerUid: UInt32
    let importer: String?
    private let byteCount: UInt64
    private let verb: String

    struct Image: Encodable {
        let width: UInt32
        let height: UInt32
        let fourcc: String
        let modifier: String
        let strides: [UInt32]
        let offsets: [UInt64]
    }

    enum CodingKeys: String, CodingKey {
        case kind, exporter, inodes, sizes, name, image, checksum, importer
        case peerPid = "peer_pid"
        case peerUid = "peer_uid"
    }

    init(
        _ buffer: DescribedBuffer, name: String, checksum: Checksum?, peer: UnixSocket.Peer, verb: String,
        importer: String? = nil
    ) {
        kind = buffer.kind.rawValue
        exporter = buffer.memory[0].exporterName
        inodes = buffer.memory.map(\.inode)
        sizes = buffer.description.sizes
        byteCount = buffer.description.byteCount
        self.name = name
        self.checksum = checksum?.description
        peerPid = peer.process
        peerUid = peer.user
        self.importer = importer
        self.verb = verb
        image = buffer.description.image.map { layout in
            Image(
                width: layout.width, height: layout.height, fourcc: PixelFormat.text(of: layout.fourcc),
                modifier: "0x" + String(layout.modifier.rawValue, radix: 16), strides: layout.planes.map(\.stride),
                offsets: layout.planes.map(\.offset))
        }
    }

    var text: String {
        var parts = ["\(verb) \(kind) of \(humanBytes(byteCount)) from \(exporter)"]
        if let image { parts.append("\(image.width)x\(image.height) \(image.fourcc)") }
        if !name.isEmpty { parts.append("\"\(name)\"") }
        if let importer { parts.append("imported into \(importer)") }
        if let checksum { parts.append("checksum \(checksum)") }
        return parts.joined(separator: ", ") + (verb == "sent" ? ", to" : ", from") + " process \(peerPid)\n"
    }
}
