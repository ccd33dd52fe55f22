// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// Gathers buffers process by process.
///
/// Rule: *A path proves nothing.* Anyone can call a file "/dmabuf:x". A descriptor counts if its fdinfo names an exporter,
/// a mapping if its file is on the very filesystem that such a descriptor is on.
struct InventoryCollector {
    private var buffers: [UInt64: Inventory.Buffer] = [:]
    private var mappings: [(process: Int, command: String, mapping: ProcFS.Mapping)] = []
    private var dmaBufDevice: UInt64?
    var unreadableProcessCount = 0

    /// Looks at one process.
    mutating func add(_ process: Int) throws(Errno) {
        let command = ProcFS.command(of: process) ?? "?"
        for (number, link) in try ProcFS.descriptorLinks(of: process) where link.starts(with: "/dmabuf:".utf8) {
            // nil if it was closed meanwhile.
            guard let info = try? FDInfo(process: process, descriptor: number), info.exporterName != nil,
                let identity = try? ProcFS.identity(process: process, descriptor: number)
            else { continue }
            dmaBufDevice = identity.device
            var buffer = buffers[identity.inode] ?? Inventory.Buffer(inode: identity.inode)
            buffer.learn(info)
            buffer.withHolder(process, command) { $0.descriptors.append(number) }
            buffers[identity.inode] = buffer
        }
        for mapping in (try? ProcFS.mappings(of: process)) ?? [] where mapping.path.hasPrefix("/dmabuf:") {
            mappings.append((process, command, mapping))
        }
    }

    /// Joins the mappings, once every process has been seen and the filesystem is known.
    consuming func finish() -> Inventory {
        let device = mappings.isEmpty ? nil : dmaBufDevice ?? DMABufFilesystem.device()
        for (process, command, mapping) in mappings where device == nil || mapping.device == device {
            var buffer = buffers[mapping.inode] ?? Inventory.Buffer(inode: mapping.inode)
            if buffer.byteCount == nil, device != nil {
                buffer.byteCount = ProcFS.byteCount(of: mapping, in: process)
            }
            buffer.withHolder(process, command) { $0.mappingCount += 1 }
            buffers[mapping.inode] = buffer
        }
        return Inventory(
            buffers: buffers.values.sorted { $0.inode < $1.inode }, unreadableProcessCount: unreadableProcessCount)
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
