// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Show the buffers of the registry that this user may see.",
        discussion: """
            EXAMPLES:
              dmabuf-share list
              dmabuf-share list --json
            """)

    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            try emit(ListReport(try registry.list(until: options.deadline)), json: options.json)
        }
    }
}

struct ListReport: Report {
    let buffers: [BufferReport]

    init(_ listings: [Listing]) {
        buffers = listings.map(BufferReport.init)
    }

    var text: String {
        var table = Table(["NAME", "OWNER", "SIZE", "GENERATION", "ATTACHED", "KEPT BY", "STATE", "ID"])
        for buffer in buffers { table.add(buffer.cells) }
        return buffers.isEmpty ? "no buffers\n" : table.text
    }
}

/// A buffer as `list` and `show` have it.
struct BufferReport: Encodable {
    let id: String
    let names: [String]
    let owner: UInt32
    let size: UInt64
    let generation: UInt64
    let attachments: UInt32
    let kept: String
    let state: [String]

    init(_ listing: Listing) {
        id = listing.buffer.hexadecimal
        names = listing.names
        owner = listing.owner
        size = listing.byteCount
        generation = listing.generation.rawValue
        attachments = listing.attachments
        kept = "\(listing.kept)"
        state = listing.state.words
    }

    var cells: [String] {
        [
            names.isEmpty ? "-" : names.map(\.escapedForDisplay).joined(separator: ","), "\(owner)", humanBytes(size),
            "\(generation)", "\(attachments)", kept, state.isEmpty ? "-" : state.joined(separator: ","), id,
        ]
    }
}

extension BufferState {
    var words: [String] {
        let all: [(BufferState, String)] = [
            (.moving, "moving"), (.quarantined, "quarantined"), (.withdrawn, "withdrawn"), (.pinned, "pinned"),
            (.locked, "locked"),
        ]
        return all.filter { contains($0.0) }.map(\.1)
    }
}
