// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// Whether the kernel knows dma-bufs at all.
enum DMABufSupport: Equatable {
    /// One was made, by this exporter.
    case used(exporter: String)
    /// The kernel's symbols have it.
    case compiledIn
    case missing
    /// The kernel hides its symbols.
    case unknown

    static func find(trialExporter: String?) -> DMABufSupport {
        if let trialExporter { return .used(exporter: trialExporter) }
        guard let symbols = try? Descriptor.open("/proc/kallsyms", .readOnly),
            let found = try? contains(symbols, Array(" dma_buf_get\n".utf8))
        else { return .unknown }
        return found ? .compiledIn : .missing
    }

    /// Reads by pieces up to the first match: the whole is 10 MB.
    private static func contains(_ file: borrowing Descriptor, _ wanted: [UInt8]) throws(Errno) -> Bool {
        var tail: [UInt8] = []
        while true {
            let piece = try file.readAll(limit: 256 << 10)
            if piece.isEmpty { return false }
            let text = tail + piece
            var lines = text.split(separator: 0x0a, omittingEmptySubsequences: false)
            tail = lines.popLast().map(Array.init) ?? []
            if lines.contains(where: { ends($0, with: wanted.dropLast()) }) { return true }
        }
    }

    private static func ends(_ line: ArraySlice<UInt8>, with end: ArraySlice<UInt8>) -> Bool {
        line.count >= end.count && line.suffix(end.count).elementsEqual(end)
    }

    var check: Check {
        switch self {
        case .used(let exporter): .good("dma-buf", "a dma-buf was made by \(exporter)")
        case .compiledIn: .good("dma-buf", "the kernel knows dma-bufs, though nothing here makes one")
        case .missing:
            .bad(
                "dma-buf", "the kernel has no CONFIG_DMA_SHARED_BUFFER",
                remedy: "boot a distribution's kernel (Debian: linux-image-amd64)")
        case .unknown:
            .bad(
                "dma-buf", "nothing here makes a dma-buf, and the kernel hides its symbols",
                remedy: "see the checks of udmabuf, heap and vgem")
        }
    }
}

/// Whether fences go in and out of a dma-buf as sync_files.
enum SyncFileSupport: Equatable {
    case works
    case refused(Errno)
    /// There is no dma-buf to try it on.
    case untried

    static func find(_ trial: TrialBuffer?) -> SyncFileSupport {
        guard let trial else { return .untried }
        do throws(Errno) {
            _ = try DMABufIoctl.exportSyncFile(trial.descriptor, waitingBefore: .write)
            return .works
        } catch {
            return .refused(error)
        }
    }

    var check: Check {
        switch self {
        case .works: .good("sync-file", "DMA_BUF_IOCTL_EXPORT_SYNC_FILE works")
        case .refused(.inappropriateIOCTLForDevice):
            .bad(
                "sync-file", "the kernel has no DMA_BUF_IOCTL_EXPORT_SYNC_FILE", remedy: "boot Linux 6.0 or newer")
        case .refused(let error):
            .bad("sync-file", "DMA_BUF_IOCTL_EXPORT_SYNC_FILE: \(error)", remedy: "look at dmesg")
        case .untried:
            .bad(
                "sync-file", "not tried: no dma-buf can be made here",
                remedy: "see the checks of udmabuf, heap and vgem")
        }
    }
}
