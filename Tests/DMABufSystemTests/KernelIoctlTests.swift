// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// Buffers of vgem and their fences, made by the system layer alone.
struct VGEMBuffer: ~Copyable {
    let node: DRMNode
    let gem: GEMBuffer
    let descriptor: Descriptor

    init() throws(Errno) {
        let node = try VGEM.open()
        let descriptor = try node.createDumbBuffer(width: 1024, height: 4, bitsPerPixel: 32).gem.export()
        let gem = try node.importBuffer(descriptor)
        self.node = node
        self.gem = gem
        self.descriptor = descriptor
    }
}

@Suite("linux/dma-buf.h on a real kernel", .leavesNoDescriptor, .requires("vgem"))
struct KernelDMABufIoctlTests {
    @Test func aReadWaitsForWritersAndAWriteForReaders() throws {
        let buffer = try VGEMBuffer()
        let write = try VGEM.attachFence(to: buffer.gem, write: true)
        #expect(throws: Errno.timedOut) {
            try DMABufIoctl.beginAccess(buffer.descriptor, .read, until: .after(.milliseconds(50)))
        }
        try write.signal()
        try DMABufIoctl.beginAccess(buffer.descriptor, .read, until: .after(.seconds(5)))
        try DMABufIoctl.endAccess(buffer.descriptor, .read)

        let read = try VGEM.attachFence(to: buffer.gem, write: false)
        try DMABufIoctl.beginAccess(buffer.descriptor, .read, until: .after(.seconds(5)))
        try DMABufIoctl.endAccess(buffer.descriptor, .read)
        #expect(throws: Errno.timedOut) {
            try DMABufIoctl.beginAccess(buffer.descriptor, [.read, .write], until: .after(.milliseconds(50)))
        }
        try read.signal()
        try DMABufIoctl.beginAccess(buffer.descriptor, [.read, .write], until: .after(.seconds(5)))
        try DMABufIoctl.endAccess(buffer.descriptor, [.read, .write])
    }

    /// By itself SYNC would wait for the ten seconds of a vgem fence.
    @Test func theDeadlineEndsAWaitThatSYNCWouldNot() throws {
        let buffer = try VGEMBuffer()
        let fence = try VGEM.attachFence(to: buffer.gem, write: true)
        let start = Deadline.now()
        for _ in 0..<3 {
            #expect(throws: Errno.timedOut) {
                try DMABufIoctl.beginAccess(buffer.descriptor, .read, until: .after(.milliseconds(100)))
            }
        }
        let spent = Deadline.now().nanoseconds - start.nanoseconds
        #expect(spent >= 300_000_000 && spent < 5_000_000_000)
        try fence.signal()
    }

    @Test func pollAndSyncFileAgree() throws {
        let buffer = try VGEMBuffer()
        for isWrite in [true, false] {
            let fence = try VGEM.attachFence(to: buffer.gem, write: isWrite)
            let forReader = try DMABufIoctl.exportSyncFile(buffer.descriptor, waitingBefore: .read)
            let forWriter = try DMABufIoctl.exportSyncFile(buffer.descriptor, waitingBefore: .write)
            let readable = try Poll.wait(buffer.descriptor, for: .readable, until: .now())
            let writable = try Poll.wait(buffer.descriptor, for: .writable, until: .now())
            #expect(try SyncFile.status(forReader) == (isWrite ? .pending : .signalled))
            #expect(readable.isEmpty == isWrite)
            #expect(try SyncFile.status(forWriter) == .pending)
            #expect(writable.isEmpty)
            try fence.signal()
            #expect(try SyncFile.status(forReader) == .signalled)
            #expect(try SyncFile.status(forWriter) == .signalled)
        }
    }

    @Test func anExportIsASnapshot() throws {
        let buffer = try VGEMBuffer()
        let before = try DMABufIoctl.exportSyncFile(buffer.descriptor, waitingBefore: .write)
        let fence = try VGEM.attachFence(to: buffer.gem, write: true)
        #expect(try SyncFile.status(before) == .signalled)
        try fence.signal()
    }

    @Test func aFenceCanBeCarriedToAnotherBuffer() throws {
        let source = try VGEMBuffer()
        let target = try VGEMBuffer()
        let fence = try VGEM.attachFence(to: source.gem, write: true)
        let file = try DMABufIoctl.exportSyncFile(source.descriptor, waitingBefore: .read)
        try DMABufIoctl.importSyncFile(file, into: target.descriptor, as: .write)
        #expect(try Poll.wait(target.descriptor, for: .readable, until: .after(.milliseconds(20))).isEmpty)
        try fence.signal()
        #expect(try !Poll.wait(target.descriptor, for: .readable, until: .after(.seconds(5))).isEmpty)
    }

    @Test func namesAreBoundedAndCannotForgeACount() throws {
        let buffer = try VGEMBuffer()
        try DMABufIoctl.setName(buffer.descriptor, String(repeating: "n", count: 31))
        #expect(try FDInfo(ofOwn: buffer.descriptor).name == String(repeating: "n", count: 31))
        #expect(throws: Errno.invalidArgument) {
            try DMABufIoctl.setName(buffer.descriptor, String(repeating: "n", count: 32))
        }
        let count = try FDInfo(ofOwn: buffer.descriptor).count
        try DMABufIoctl.setName(buffer.descriptor, "x\ncount:\t77\nexp_name:\tevil")
        let info = try FDInfo(ofOwn: buffer.descriptor)
        #expect(info.count == count)
        #expect(info.exporterName == "drm")
        #expect(info.name == "x\ncount:\t77\nexp_name:\tevil")
        #expect(try DescriptorKind(of: buffer.descriptor) == .dmaBuf)
    }

    @Test func nonsenseIsRefusedByTheKernel() throws {
        let buffer = try VGEMBuffer()
        let event = try EventFD()
        #expect(throws: Errno.invalidArgument) {
            try DMABufIoctl.importSyncFile(event.descriptor, into: buffer.descriptor, as: .write)
        }
        #expect(throws: Errno.invalidArgument) {
            _ = try DMABufIoctl.exportSyncFile(buffer.descriptor, waitingBefore: []).identity()
        }
    }
}

@Suite("linux/sync_file.h on a real kernel", .leavesNoDescriptor, .requires("vgem"))
struct KernelSyncFileTests {
    @Test func mergedSignalsWithTheLast() throws {
        let one = try VGEMBuffer()
        let two = try VGEMBuffer()
        let first = try VGEM.attachFence(to: one.gem, write: true)
        let second = try VGEM.attachFence(to: two.gem, write: true)
        let merged = try SyncFile.merge(
            DMABufIoctl.exportSyncFile(one.descriptor, waitingBefore: .read),
            DMABufIoctl.exportSyncFile(two.descriptor, waitingBefore: .read), named: "both")
        #expect(try SyncFile.info(merged).fences.count == 2)
        #expect(try SyncFile.info(merged).fences.allSatisfy { $0.driver == "vgem" && $0.status == .pending })
        try first.signal()
        #expect(try SyncFile.status(merged) == .pending)
        try second.signal()
        #expect(try SyncFile.status(merged) == .signalled)
        #expect(try DescriptorKind(of: merged) == .syncFile)
    }

    @Test func mergingWithSomethingElseIsAnError() throws {
        let buffer = try VGEMBuffer()
        let file = try DMABufIoctl.exportSyncFile(buffer.descriptor, waitingBefore: .read)
        #expect(throws: Errno.noSuchFileOrDirectory) {
            _ = try SyncFile.merge(file, EventFD().descriptor, named: "x").identity()
        }
    }

    @Test func theDeadlineHintIsTakenOrUnknown() throws {
        let buffer = try VGEMBuffer()
        let file = try DMABufIoctl.exportSyncFile(buffer.descriptor, waitingBefore: .read)
        do throws(Errno) { try SyncFile.setDeadline(file, .after(.seconds(1))) } catch {
            #expect(error == .inappropriateIOCTLForDevice)
        }
    }

    @Test func aConflictingFenceIsRefused() throws {
        let buffer = try VGEMBuffer()
        let fence = try VGEM.attachFence(to: buffer.gem, write: true)
        #expect(throws: Errno.resourceBusy) { try VGEM.attachFence(to: buffer.gem, write: true).signal() }
        try fence.signal()
        try VGEM.attachFence(to: buffer.gem, write: true).signal()
    }
}

@Suite("linux/udmabuf.h on a real kernel", .leavesNoDescriptor, .requires("udmabuf"))
struct KernelUDMABufTests {
    private func sealed(_ seals: MemFD.Seals, byteCount: UInt64 = 16384) throws -> Descriptor {
        let file = try MemFD.create(named: "test", byteCount: byteCount)
        try MemFD.addSeals(file, seals)
        return file
    }

    @Test func refusesWhatItMust() throws {
        let device = try UDMABuf()
        func refuses(_ seals: MemFD.Seals, offset: UInt64 = 0, byteCount: UInt64 = 4096, _ error: Errno) throws {
            let file = try sealed(seals)
            #expect(throws: error) {
                _ = try device.create(from: file, offset: offset, byteCount: byteCount).identity()
            }
        }
        try refuses([], .invalidArgument)
        try refuses([.shrink, .write], .invalidArgument)
        try refuses(.shrink, offset: 100, .invalidArgument)
        try refuses(.shrink, byteCount: 100, .invalidArgument)
        try refuses(.shrink, byteCount: 0, .invalidArgument)
        try refuses(.shrink, offset: 16384, .invalidArgument)
        #expect(throws: Errno.self) {
            _ = try device.create(from: Descriptor.open("/dev/null"), byteCount: 4096).identity()
        }
    }

    @Test func aListKeepsItsOrder() throws {
        var files = DescriptorList()
        for value in 0..<3 {
            let file = try sealed(.shrink)
            var mapping = try MemoryMapping(file, byteCount: 16384, writable: true)
            mapping.withMutableBytes { bytes in
                for page in 0..<4 {
                    bytes.storeBytes(of: UInt8(value * 4 + page), toByteOffset: page * 4096, as: UInt8.self)
                }
            }
            files.append(file)
        }
        let segments = [(2, 4096), (0, 12288), (1, 0)].map {
            UDMABuf.Segment(file: $0.0, offset: UInt64($0.1), byteCount: 4096)
        }
        let buffer = try UDMABuf().create(from: files, segments: segments)
        let view = try MemoryMapping(buffer, byteCount: 12288, writable: false)
        let firstBytes = view.withBytes { bytes in [0, 4096, 8192].map { Span<UInt8>(_bytes: bytes)[$0] } }
        #expect(firstBytes == [9, 3, 4])
        #expect(try buffer.seekableByteCount() == 12288)
    }

    @Test func itCountsItsReferences() throws {
        let file = try sealed(.shrink)
        let buffer = try UDMABuf().create(from: file, byteCount: 16384)
        #expect(try FDInfo(ofOwn: buffer).count == 1)
        do {
            let copy = try buffer.duplicate()
            let mapping = try MemoryMapping(buffer, byteCount: 4096, writable: false)
            #expect(try FDInfo(ofOwn: copy).count == 3)
            #expect(mapping.byteCount == 4096)
        }
        #expect(try FDInfo(ofOwn: buffer).count == 1)
        #expect(try FDInfo(ofOwn: buffer).exporterName == "udmabuf")
    }
}

@Suite("linux/dma-heap.h on a real kernel", .leavesNoDescriptor, .requires("heap:system"))
struct KernelDMAHeapTests {
    @Test func allocatesWholePages() throws {
        let heap = try DMAHeap(named: "system")
        #expect(try heap.allocate(byteCount: 5000).seekableByteCount() == 8192)
        #expect(throws: Errno.invalidArgument) { _ = try heap.allocate(byteCount: 0).identity() }
        #expect(DMAHeap.names.contains("system"))
    }

    @Test(arguments: ["", "../null", "nosuchheap"])
    func namesThatAreNoHeaps(name: String) {
        #expect(throws: Errno.self) { _ = try DMAHeap(named: name).allocate(byteCount: 1).identity() }
    }
}

@Suite("DRM through libdrm on a real kernel", .leavesNoDescriptor, .requires("vgem"))
struct KernelDRMTests {
    @Test func importingTwiceIsOneHandleWithTwoOwners() throws {
        let buffer = try VGEMBuffer()
        let node = buffer.node
        do {
            let again = try node.importBuffer(buffer.descriptor)
            again.drop()
        }
        // The first owner's handle must still live: a fence can be attached to it.
        try VGEM.attachFence(to: buffer.gem, write: true).signal()
    }

    @Test func theBufferOutlivesNodeAndHandle() throws {
        var descriptor: Descriptor?
        do {
            let node = try VGEM.open()
            descriptor = try node.createDumbBuffer(width: 1024, height: 1, bitsPerPixel: 32).gem.export()
        }
        guard let alive = descriptor.take() else { throw Errno.badFileDescriptor }
        #expect(try alive.seekableByteCount() == 4096)
        #expect(try FDInfo(ofOwn: alive).count == 1)
        var mapping = try MemoryMapping(alive, byteCount: 4096, writable: true)
        mapping.withMutableBytes { $0.storeBytes(of: 1, toByteOffset: 0, as: UInt8.self) }
    }

    @Test func whatIsNoNodeIsAnError() {
        #expect(throws: Errno.self) { _ = try DRMNode("/dev/null").driver }
        #expect(throws: Errno.noSuchFileOrDirectory) { _ = try DRMNode("card987").driver }
    }

    @Test func importingSomethingElseIsAnError() throws {
        let node = try VGEM.open()
        let file = try MemFD.create(named: "x", byteCount: 4096)
        #expect(throws: Errno.self) { try node.importBuffer(file).drop() }
    }
}

extension GEMBuffer {
    consuming func drop() {}
}
