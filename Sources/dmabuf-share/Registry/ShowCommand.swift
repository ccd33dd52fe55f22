// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import DMABufWire

struct ShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one buffer: its memory, who is attached, what is pending.",
        discussion: """
            EXAMPLES:
              dmabuf-share show frame
              dmabuf-share show cam0 --of 1001 --json
            """)

    @OptionGroup var buffer: BufferArgument
    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            let token = try shown.token()
            let id = try buffer.find(&registry, showing: token, until: options.deadline)
            let found = try registry.inspect(id, token: token, until: options.deadline)
            try emit(ShowReport(found.inspection, found.memories.description), json: options.json)
        }
    }
}

struct ShowReport: Report {
    let buffer: BufferReport
    let inode: UInt64
    let provesRelease: Bool
    let fourcc: String?
    let width: UInt32?
    let height: UInt32?
    let pendingFences: Int
    let fences: String
    let holders: [HolderReport]
    let quarantined: [UInt64]

    enum CodingKeys: String, CodingKey {
        case buffer, inode, fourcc, width, height, fences, holders, quarantined
        case provesRelease = "proves_release"
        case pendingFences = "pending_fences"
    }

    init(_ found: Inspection, _ description: BufferDescription) {
        buffer = BufferReport(found.listing)
        // Without the bit that tells stand-ins apart.
        inode = found.backing.inode & ~(1 << 63)
        provesRelease = found.backing.provesRelease
        fourcc = description.image.map { PixelFormat.text(of: $0.fourcc) }
        width = description.image?.width
        height = description.image?.height
        pendingFences = found.fences.pending
        fences = found.fences.status.words
        holders = found.holders.map(HolderReport.init)
        quarantined = found.quarantined.map(\.rawValue)
    }

    var text: String {
        var lines = [
            "names        "
                + (buffer.names.isEmpty ? "-" : buffer.names.map(\.quotedForDisplay).joined(separator: ", ")),
            "id           \(buffer.id)", "owner        user \(buffer.owner), kept by \(buffer.kept)",
            "memory       \(humanBytes(buffer.size)), generation \(buffer.generation), inode \(inode)",
        ]
        if let fourcc, let width, let height {
            lines.append("image        \(width)x\(height) \(fourcc.escapedForDisplay)")
        }
        lines.append("release      " + (provesRelease ? "proved by the kernel's count" : "as far as its holders say"))
        lines.append("fences       \(fences)" + (pendingFences > 0 ? ", \(pendingFences) pending" : ""))
        lines.append("state        " + (buffer.state.isEmpty ? "-" : buffer.state.joined(separator: ", ")))
        let names = holders.map { "\($0.attachment)" + ($0.client.map { " (client \($0))" } ?? "") }
        lines.append("attachments  " + (names.isEmpty ? "-" : names.joined(separator: ", ")))
        if !quarantined.isEmpty {
            lines.append("quarantine   generations " + quarantined.map(String.init).joined(separator: ", "))
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
