// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// Gathers buffers process by process.
///
/// Rule: *A path proves nothing.* Anyone can call a file "/dmabuf:x". A descriptor counts if its fdinfo names an exporter,
/// a mapping if its file is on the filesystem that a dma-buf of our own is on. Nothing is called on the files themselves:
/// between two looks their owner may put a hostile one in their place.
struct InventoryCollector {
    private var buffers: [UInt64: Inventory.Buffer] = [:]
    private var mappings: [(process: Int, command: String, mapping: ProcFS.Mapping)] = []
    var unreadableProcessCount = 0

    /// Looks at one process.
    mutating func add(_ process: Int) throws(Errno) {
        let command = ProcFS.command(of: process) ?? "?"
        for (number, link) in try ProcFS.descriptorLinks(of: process) where link.starts(with: "/dmabuf:".utf8) {
            // nil if it was closed meanwhile.
            guard let info = try? FDInfo(process: process, descriptor: number), info.exporterName != nil,
                let inode = info.inode
            else { continue }
            var buffer = buffers[inode] ?? Inventory.Buffer(inode: inode)
            buffer.learn(info)
            buffer.withHolder(process, command) { $0.descriptors.append(number) }
            buffers[inode] = buffer
        }
        for mapping in (try? ProcFS.mappings(of: process)) ?? [] where mapping.path.hasPrefix("/dmabuf:") {
            mappings.append((process, command, mapping))
        }
    }

    /// Joins the mappings, once every process has been seen and the filesystem is known.
    consuming func finish() -> Inventory {
        let device = mappings.isEmpty ? nil : DMABufFilesystem.device()
        for (process, command, mapping) in mappings where mapping.device == device {
            var buffer = buffers[mapping.inode] ?? Inventory.Buffer(inode: mapping.inode)
            if buffer.byteCount == nil {
                buffer.byteCount = ProcFS.byteCount(of: mapping, in: process)
            }
            buffer.withHolder(process, command) { $0.mappingCount += 1 }
            buffers[mapping.inode] = buffer
        }
        return Inventory(
            buffers: buffers.values.sorted { $0.inode < $1.inode }, unreadableProcessCount: unreadableProcessCount,
            unverifiedMappingCount: device == nil ? mappings.count : 0)
    }
}

extension Inventory.Buffer {
    fileprivate mutating func learn(_ info: FDInfo) {
        byteCount = info.byteCount
        exporterName = info.exporterName
        name = info.name
        count = info.count
    }

    /// The entry of a process among the holders, made if it is new.
    fileprivate mutating func withHolder(
        _ process: Int, _ command: String, _ change: (inout Inventory.Holder) -> Void
    ) {
        if holders.last?.process != process, let index = holders.firstIndex(where: { $0.process == process }) {
            change(&holders[index])
            return
        }
        if holders.last?.process != process { holders.append(Inventory.Holder(process: process, command: command)) }
        change(&holders[holders.count - 1])
    }
}
