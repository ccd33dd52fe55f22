// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
public import SystemPackage

/// Every dma-buf that some process holds by a descriptor or a mapping, as far as this user may see.
///
/// Buffers are joined by inode, which the kernel never gives twice. A name is any holder's choice and joins nothing.
public struct Inventory: Sendable {
    public let buffers: [Buffer]
    /// Processes whose descriptors this user may not see.
    public let unreadableProcessCount: Int
    /// Mappings that look like a dma-buf's and are left out: this process could make none of its own to compare with.
    public let unverifiedMappingCount: Int

    public struct Buffer: Sendable {
        public let inode: UInt64
        /// Bytes, nil where only a mapping was seen and its file could not be asked.
        public internal(set) var byteCount: UInt64?
        public internal(set) var exporterName: String?
        public internal(set) var name: String?
        /// References that the kernel counts, nil where no descriptor was seen.
        public internal(set) var count: Int?
        public internal(set) var holders: [Holder] = []
    }

    public struct Holder: Sendable {
        public let process: Int
        public let command: String
        public internal(set) var descriptors: [Int] = []
        public internal(set) var mappingCount = 0
    }

    /// The sum of the known sizes, in bytes.
    public var totalByteCount: UInt64 {
        buffers.reduce(0) { sum, buffer in
            let (total, overflow) = sum.addingReportingOverflow(buffer.byteCount ?? 0)
            return overflow ? .max : total
        }
    }

    /// Looks at all processes; those that end meanwhile are left out.
    public static func take() -> Inventory {
        var collector = InventoryCollector()
        for process in ProcFS.processIDs() {
            do throws(Errno) { try collector.add(process) } catch {
                if error == .permissionDenied || error == .notPermitted { collector.unreadableProcessCount += 1 }
            }
        }
        return collector.finish()
    }

    /// Looks at one process; throws `permissionDenied` or `noSuchFileOrDirectory`.
    public static func take(of process: Int) throws(Errno) -> Inventory {
        var collector = InventoryCollector()
        try collector.add(process)
        return collector.finish()
    }
}

extension Inventory {
    /// The processes that hold a memfd of that inode by a descriptor, by link and fdinfo alone.
    public static func holders(ofMemFD inode: UInt64) -> [Int] {
        ProcFS.processIDs().filter { process in
            guard let links = try? ProcFS.descriptorLinks(of: process) else { return false }
            return links.contains { number, link in
                link.starts(with: "/memfd:".utf8)
                    && (try? FDInfo(process: process, descriptor: number))?.inode == inode
            }
        }
    }
}
