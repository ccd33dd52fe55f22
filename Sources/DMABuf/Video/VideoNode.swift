// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage

/// What the queue, the importer and the exporter ask of a video node.
extension V4L2Node {
    static func opening(_ name: String) throws(DMABufError) -> V4L2Node {
        try attempting(
            "v4l2:\(name.escapedForDisplay): open it",
            remedy: "name a video node (/dev/videoN) that this user may open, usually of group video"
        ) { () throws(Errno) in try V4L2Node(name) }
    }

    /// A node that was there before. Throws `gone` if its device is no more.
    static func reopening(_ name: String) throws(DMABufError) -> V4L2Node {
        do throws(DMABufError) { return try opening(name) } catch {
            switch error.cause {
            case .noSuchFileOrDirectory, .noSuchAddressOrDevice, .operationNotSupportedByDevice:
                throw .gone(name, error.cause ?? .noSuchFileOrDirectory)
            default: throw error
            }
        }
    }

    func type(for direction: VideoQueue.Direction) -> V4L2.BufferType? {
        guard capabilities.streams else { return nil }
        return direction == .capture ? capabilities.captureType : capabilities.outputType
    }

    /// The queue of a node that has one alone; of both, the one that captures.
    var onlyType: V4L2.BufferType? { type(for: .capture) ?? type(for: .output) }

    /// The nodes of this machine that move frames, and those that are closed to this user.
    static var candidates: [String] {
        names.filter { name in
            do throws(Errno) {
                let found = try V4L2.capabilities("\(folder)/\(name)")
                return found.streams && (found.captures || found.outputs)
            } catch { return error == .permissionDenied }
        }
    }

    /// Whether the device reaches only memory in one piece, by the allocator that its driver uses: nil where that cannot be
    /// seen, above all while the queue is another's. An IOMMU makes one piece of many.
    ///
    /// Asks the driver for a buffer of its own, looks at its dma-buf's name, and lets it go.
    func needsContiguous(_ type: V4L2.BufferType) -> Bool? {
        guard let count = try? requestBuffers(1, type, .mmap) else { return nil }
        defer { _ = try? requestBuffers(0, type, .mmap) }
        guard count > 0, let descriptor = try? exportBuffer(0, type), let buffer = try? DMABuffer(adopting: descriptor)
        else { return nil }
        return buffer.exporterName == "videobuf2_dma_contig" && !hasIOMMU
    }

    private var hasIOMMU: Bool {
        !Folder.names("/sys/class/video4linux/\(name)/device/iommu_group/devices").isEmpty
    }
}

extension DMABuffer {
    /// Waits for what the kernel's reservation has under way; a stand-in has none.
    func waitForKernelFences(before access: Access, until deadline: Deadline) throws(DMABufError) {
        do throws(DMABufError) {
            try fence(waitingBefore: access)?.wait(until: deadline)
        } catch {
            guard error.cause == .inappropriateIOCTLForDevice else { throw error }
            // Before Linux 6.0 the dma-buf itself can only be polled.
            let ready = try attempting("wait for the fences of dma-buf \(inode)") { () throws(Errno) in
                try Poll.wait(descriptor, for: access.contains(.write) ? .writable : .readable, until: deadline)
            }
            guard ready.isEmpty else { return }
            throw DMABufError(.deadline, "waited in vain for the fences of dma-buf \(inode)", cause: .timedOut)
        }
    }
}
