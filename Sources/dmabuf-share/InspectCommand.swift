// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufDevices
import DMABufSystem
import SystemPackage

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "List dma-bufs and who holds them, by descriptor or by mapping.",
        discussion: """
            Looks at every process that this user may see; root sees all. A buffer that is held only by a message in \
            flight or by a device shows in its count and not among the holders.

            EXAMPLES:
              dmabuf-share inspect
              dmabuf-share inspect 4711 --json
            """)

    @Argument(help: "A process, or `all`.")
    var process = "all"

    @Flag(help: "Print as JSON.")
    var json = false

    func validate() throws {
        if process != "all", Int(process).map({ $0 > 0 }) != true {
            throw ValidationError("\"\(process.escapedForDisplay)\" is neither a process number nor `all`.")
        }
    }

    func run() throws {
        try reporting(json: json) {
            let inventory: Inventory
            if let number = Int(process) {
                do throws(Errno) { inventory = try Inventory.take(of: number) } catch {
                    guard error != .noSuchFileOrDirectory else {
                        throw DMABufError(.gone, "there is no process \(number)")
                    }
                    throw DMABufError.system(
                        "inspect process \(number)", error, remedy: "name a process of yours, or run as root")
                }
            } else {
                inventory = Inventory.take()
            }
            try emit(InventoryReport(inventory), json: json)
        }
    }
}

/// The inventory: see JSON OUTPUT in the man page.
struct InventoryReport: Report {
    let buffers: [Buffer]
    let totalBytes: UInt64
    let unreadableProcesses: Int
    private let unverifiedMappings: Int

    struct Buffer: Encodable {
        let inode: UInt64
        let size: UInt64?
        let exporter: String?
        let name: String?
        let count: Int?
        let holders: [Holder]

        enum CodingKeys: CodingKey { case inode, size, exporter, name, count, holders }

        /// Every key is always there: what is not known is null.
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(inode, forKey: .inode)
            try container.encode(size, forKey: .size)
            try container.encode(exporter, forKey: .exporter)
            try container.encode(name, forKey: .name)
            try container.encode(count, forKey: .count)
            try container.encode(holders, forKey: .holders)
        }
    }

    struct Holder: Encodable {
        let pid: Int
        let command: String
        let fds: [Int]
        let mappings: Int
    }

    enum CodingKeys: String, CodingKey {
        case buffers
        case totalBytes = "total_bytes"
        case unreadableProcesses = "unreadable_processes"
    }

    init(_ inventory: Inventory) {
        buffers = inventory.buffers.map { buffer in
            Buffer(
                inode: buffer.inode, size: buffer.byteCount, exporter: buffer.exporterName, name: buffer.name,
                count: buffer.count,
                holders: buffer.holders.map {
                    Holder(pid: $0.process, command: $0.command, fds: $0.descriptors, mappings: $0.mappingCount)
                })
        }
        totalBytes = inventory.totalByteCount
        unreadableProcesses = inventory.unreadableProcessCount
        unverifiedMappings = inventory.unverifiedMappingCount
    }

    var text: String {
        var table = Table(["INODE", "SIZE", "EXPORTER", "NAME", "COUNT", "HELD BY"])
        for buffer in buffers {
            table.add([
                "\(buffer.inode)", buffer.size.map(humanBytes) ?? "?", buffer.exporter ?? "?",
                buffer.name.map(\.quotedForDisplay) ?? "-", buffer.count.map(String.init) ?? "?",
                buffer.holders.map(\.text).joined(separator: ", "),
            ])
        }
        var lines = buffers.isEmpty ? "" : table.text
        lines += "\(buffers.count) dma-buf(s), \(humanBytes(totalBytes)) in all"
        if unreadableProcesses > 0 {
            lines += "; \(unreadableProcesses) process(es) of others could not be looked at (run as root to see all)"
        }
        if unverifiedMappings > 0 {
            lines += "; \(unverifiedMappings) mapping(s) could not be verified and are left out (run as root)"
        }
        return lines + "\n"
    }
}

extension InventoryReport.Holder {
    fileprivate var text: String {
        var how: [String] = []
        if !fds.isEmpty { how.append("fd \(fds.map(String.init).joined(separator: " "))") }
        if mappings > 0 { how.append("\(mappings) mapping(s)") }
        return "\(pid) \(command.quotedForDisplay) (\(how.joined(separator: ", ")))"
    }
}
