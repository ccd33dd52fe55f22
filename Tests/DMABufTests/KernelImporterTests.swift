// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

/// Every importer with every exporter: an importer takes what it does not exclude, and gives it back.
@Suite("Every importer", .leavesNoDescriptor)
struct KernelImporterTests {
    @Test(arguments: Backends.importers, Backends.everyExporter)
    func takesWhatItDoesNotExclude(importer name: String, exporter: String) throws {
        let importer = try ImporterBackend.open(name)
        // Room for a frame.
        let buffer = try Backends.bytes(4 << 20, from: exporter)
        let before = try buffer.referenceCount()
        if let exclusion = importer.exclusion(of: buffer) {
            #expect(exclusion.code == .refused && exclusion.remedy != nil)
            do throws(DMABufError) {
                try importer.attach(buffer, for: .read).detach()
                Issue.record("\(name) took what it excludes")
            } catch { #expect(error.message == exclusion.message) }
            return
        }
        do {
            let attachment = try importer.attach(buffer, for: .readWrite)
            #expect(attachment.importer == importer.name)
            #expect(importer.requirements.party == importer.name)
            #expect(attachment.buffer === buffer)
            let twice = try importer.attach(buffer, for: .read)
            twice.detach()
            attachment.detach()
        }
        #expect(try buffer.referenceCount() == before)
    }

    @Test func theMatrixIsTheOneThatIsKnown() throws {
        for exporter in Backends.realExporters {
            let buffer = try Backends.bytes(4096, from: exporter)
            for name in Backends.importers where !name.hasPrefix("drm:render") && !name.hasPrefix("v4l2:") {
                let excluded = try ImporterBackend.open(name).exclusion(of: buffer) != nil
                #expect(excluded == (name.hasSuffix(":card2") && exporter != "dumb:card2"), "\(exporter) into \(name)")
            }
        }
    }

    /// The driver's allocator is the default one, which takes scattered memory.
    @Test("a video node takes every dma-buf that has room for a frame", .requires("v4l2:video0", "v4l2:video1"))
    func video() throws {
        for name in ["v4l2:video0", "v4l2:video1"] {
            let importer = try ImporterBackend.open(name)
            for exporter in Backends.everyExporter {
                let large = try Backends.bytes(4 << 20, from: exporter)
                #expect((importer.exclusion(of: large) == nil) == (exporter != "memfd"), "\(exporter) into \(name)")
            }
            let small = try Backends.bytes(4096, from: Backends.realExporters[0])
            #expect(importer.exclusion(of: small)?.message.contains("a frame takes") == true)
        }
    }

    @Test func whatIsNoImporterIsSaid() {
        for name in [
            "", "gpu", "drm", "drm:", "drm:card987", "drm:/dev/null", "cpu:1", "kms", "kms:", "kms:card987",
            "kms:card1", "v4l2", "v4l2:video987",
        ] {
            #expect(throws: DMABufError.self) { _ = try ImporterBackend.open(name) }
        }
    }
}

/// The bracket around CPU access, with every exporter that has fences.
@Suite("The CPU access bracket", .leavesNoDescriptor)
struct KernelMappingTests {
    @Test(arguments: Backends.exporters)
    func whatIsWrittenIsRead(name: String) throws {
        let buffer = try Backends.bytes(65536, from: name)
        var writer = try CPUImporter().attach(buffer, for: .readWrite).map()
        try writer.withWriteAccess { Pattern.fill(&$0) }
        let reader = try CPUImporter().attach(buffer, for: .read).map()
        let checksum = try reader.withReadAccess { bytes in
            var checksum = Checksum()
            checksum.add(bytes)
            return checksum
        }
        #expect(checksum == Pattern.checksum(byteCount: Int(buffer.byteCount)))
    }

    @Test(.requires("vgem"), arguments: Backends.realExporters)
    func aPendingFenceHoldsItBackUntilTheDeadlineAndIsNamed(name: String) throws {
        let buffer = try Backends.bytes(65536, from: name)
        let scratch = try ScratchFence()
        try buffer.add(scratch.fence, as: .write)
        let mapping = try CPUImporter().attach(buffer, for: .read).map()
        do throws(DMABufError) {
            try mapping.withReadAccess(within: .milliseconds(50)) { _ in }
            Issue.record("read under a pending write")
        } catch {
            #expect(error.code == .deadline)
            #expect(error.message.contains("vgem"))
        }
        try scratch.signal()
        try mapping.withReadAccess { _ in }
    }

    @Test(.requires("vgem"), arguments: Backends.realExporters)
    func readersDoNotHoldReadersBack(name: String) throws {
        let buffer = try Backends.bytes(4096, from: name)
        let scratch = try ScratchFence()
        try buffer.add(scratch.fence, as: .read)
        var mapping = try CPUImporter().attach(buffer, for: .readWrite).map()
        try mapping.withReadAccess(within: .seconds(1)) { _ in }
        #expect(throws: DMABufError.self) { try mapping.withWriteAccess(within: .milliseconds(50)) { _ in } }
        try scratch.signal()
        try mapping.withWriteAccess { _ in }
    }
}

@Suite("Fences", .leavesNoDescriptor)
struct KernelFenceTests {
    @Test(.requires("vgem")) func twoOraclesAgree() throws {
        let scratch = try ScratchFence()
        let fence = scratch.fence
        #expect(try fence.status() == .pending)
        #expect(throws: DMABufError.self) { try fence.wait(until: .after(.milliseconds(20))) }
        try fence.hint(deadline: .after(.milliseconds(100)))
        try scratch.signal()
        #expect(try fence.wait(until: .after(.seconds(5))) == .signalled)
        #expect(try fence.status() == .signalled)
    }

    @Test(.requires("vgem")) func mergingWaitsForBoth() throws {
        let (first, second) = (try ScratchFence(), try ScratchFence())
        let merged = try first.fence.merged(with: second.fence, named: "both")
        try first.signal()
        #expect(try merged.status() == .pending)
        try second.signal()
        #expect(try merged.wait(until: .after(.seconds(5))) == .signalled)
    }

    @Test func eventfdAndPidfdAreFences() throws {
        let event = try EventFD()
        let fence = try Fence(adopting: event.descriptor.duplicate())
        #expect(fence.kind == .eventfd)
        #expect(try fence.status() == .pending)
        #expect(throws: DMABufError.self) { try fence.wait(until: .after(.milliseconds(10))) }
        try event.signal()
        #expect(try fence.wait(until: .after(.seconds(5))) == .signalled)

        let child = try ChildProcess(["sleep", "60"], environment: [], descriptors: DescriptorList())
        let ending = try Fence(adopting: PidFD(child.processID).intoDescriptor())
        #expect(ending.kind == .pidfd)
        #expect(try ending.status() == .pending)
        try child.send(.kill)
        #expect(try ending.wait(until: .after(.seconds(5))) == .signalled)
        _ = try child.wait(until: .after(.seconds(5)))
        #expect(throws: DMABufError.self) { _ = try fence.merged(with: ending, named: "x") }
        #expect(try !fence.hint(deadline: .now()))
    }

    @Test func anythingElseIsNone() throws {
        for path in ["/dev/null", "/etc/passwd", "/"] {
            #expect(throws: DMABufError.self) { _ = try Fence(adopting: Descriptor.open(path, .readOnly)) }
        }
        #expect(throws: DMABufError.self) { _ = try Fence(adopting: MemFD.create(named: "x", byteCount: 1)) }
    }
}
