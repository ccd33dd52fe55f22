// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// What `display` waits for, who waits for it, and what it refuses.
@Suite("What a display waits for", .leavesNoDescriptor, .requires("kms:card0", "vgem", "screenshot"))
struct KernelDisplayWaitTests {
    private let limit = Deadline.after(.seconds(240))

    private func frame(
        _ writer: inout RegistryConnection, _ image: TestImage
    ) throws -> AttachedBuffer {
        let (id, _) = try writer.allocate(TestImage.request, from: "vgem", name: "frame", until: limit)
        let attached = try writer.attach(id, AttachTerms(.readWrite), until: limit)
        try image.paint(attached.buffer)
        return attached
    }

    enum Promise: CaseIterable {
        /// A kernel fence that a client has promised the registry.
        case syncFile
        /// An eventfd, of which the kernel knows nothing.
        case eventfd
        /// In the kernel's reservation alone, by somebody who knows of no registry.
        case foreign
    }

    @Test("it shows nothing of a writer's before that has ended", arguments: Promise.allCases)
    func writer(how: Promise) throws {
        let registry = try RunningRegistry()
        var writer = try RegistryConnection(at: registry.socket, until: limit)
        let (old, new) = (TestImage(41), TestImage(42))
        let attached = try frame(&writer, old)
        let display = try RunningDisplay(registry, "frame", "--on", "kms:card0", "--within", "60")
        let other = try OtherBuffer()
        let work = try VGEM.attachFence(to: other.gem, write: true)
        let event = try EventFD()
        let file = try #require(try other.memory.fence(waitingBefore: .write))
        switch how {
        case .syncFile: try writer.promise(file, .syncFile, attached)
        case .eventfd: try writer.promise(Fence(adopting: event.descriptor.duplicate()), .eventFD, attached)
        case .foreign: try attached.buffer.memory[0].add(file, as: .write)
        }
        // The frame that is on its way is let go: this one's own bracket would wait for the fence.
        Clock.sleep(.seconds(1))
        try new.write(into: attached.buffer)
        Clock.sleep(.milliseconds(300))
        #expect(try ScreenPicture.take() == old.picture)
        try work.signal()
        try event.signal()
        try waitForScreen(new.picture)
        try display.send(.terminate)
        let run = try display.finish()
        #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
        _ = try registry.stop()
    }

    @Test("a writer that does not end is named, and the status is 124", arguments: Promise.allCases, [true, false])
    func never(how: Promise, isShown: Bool) throws {
        let before = try ScreenPicture.take()
        let registry = try RunningRegistry()
        var writer = try RegistryConnection(at: registry.socket, until: limit)
        let attached = try frame(&writer, TestImage(43))
        let other = try OtherBuffer()
        let event = try EventFD()
        let shown =
            isShown ? try RunningDisplay(registry, "frame", "--on", "kms:card0", "--within", "3") : nil
        let work = try VGEM.attachFence(to: other.gem, write: true)
        let file = try #require(try other.memory.fence(waitingBefore: .write))
        switch how {
        case .syncFile: try writer.promise(file, .syncFile, attached)
        case .eventfd: try writer.promise(Fence(adopting: event.descriptor.duplicate()), .eventFD, attached)
        case .foreign: try attached.buffer.memory[0].add(file, as: .write)
        }
        let run: Run
        if let shown {
            run = try shown.finish()
        } else {
            run = try registry.run("display", "frame", "--on", "kms:card0", "--within", "3")
        }
        #expect(run.status == 124, "\(run)")
        #expect(run.errors.contains(how == .eventfd ? "in vain for fence " : "vgem"), "\(run)")
        #expect(try ScreenPicture.take() == before)
        try work.signal()
        _ = try registry.stop()
    }

    @Test("a stream's writer of whom only the kernel knows is waited for before the screen is, and named")
    func stream() throws {
        let before = try ScreenPicture.take()
        let registry = try RunningRegistry()
        var producer = try RegistryConnection(at: registry.socket, until: limit)
        let images = [TestImage(45), TestImage(46), TestImage(47)]
        let buffers = try images.map { image in
            let buffer = try ExporterBackend.open("vgem").export(TestImage.request)
            try image.paint(buffer)
            return buffer
        }
        var pool = try PoolWriter(buffers, named: "cam", fixed: false, in: &producer, until: limit)
        while try pool.take(&producer, until: limit) != nil {}
        try pool.publish(&producer, until: limit)
        pool.finish()
        try pool.announce(&producer, until: limit)
        let display = try RunningDisplay(registry, "cam", "--on", "kms:card0", "--within", "5")
        try waitForScreen(images[0].picture)
        let other = try OtherBuffer()
        let work = try VGEM.attachFence(to: other.gem, write: true)
        try buffers[1].memory[0].add(#require(try other.memory.fence(waitingBefore: .write)), as: .write)
        pool.finish()
        try pool.announce(&producer, until: limit)
        let run = try display.finish()
        #expect(run.status == 124 && run.errors.contains("vgem"), "\(run)")
        // Nothing was submitted that the screen's end would have to wait for.
        #expect(try ScreenPicture.take() == before)
        try work.signal()
        _ = try registry.stop()
    }

    @Test("who takes all the room for fences is not waited for without end")
    func slots() throws {
        let registry = try RunningRegistry()
        var writer = try RegistryConnection(at: registry.socket, until: limit)
        let attached = try frame(&writer, TestImage(48))
        do throws(RegistryError) {
            while true { try writer.ask(.reserve(attached.attachment, slots: 1), until: limit) }
        } catch {
            guard case .ruledOut(.noSlots) = error else { throw error }
        }
        let run = try registry.run("display", "frame", "--on", "kms:card0", "--within", "0.5")
        #expect(run.status == 4 && run.errors.contains("room for"), "\(run)")
        _ = try registry.stop()
    }

    @Test("a frame on its way to the screen is a reader's fence, which ends")
    func reader() throws {
        let registry = try RunningRegistry()
        var writer = try RegistryConnection(at: registry.socket, until: limit)
        let attached = try frame(&writer, TestImage(44))
        let display = try RunningDisplay(registry, "frame", "--on", "kms:card0")
        var found: Set<FenceID> = []
        let end = Deadline.after(.seconds(20))
        while found.count < 10, !end.hasPassed {
            let answer = try writer.ask(.snapshot(attached.attachment, .read), until: limit)
            guard case .snapshot(let status, let ids) = answer else { throw Errno.badMessage }
            #expect(status == (ids.isEmpty ? .ok : .pending))
            found.formUnion(ids)
            #expect(try writer.waitForFences(of: attached, .read, until: limit) == .ok)
        }
        #expect(found.count >= 10, "a fence for each frame")
        // It hinders no reader.
        #expect(
            try writer.ask(.snapshot(attached.attachment, .write), until: limit) == .snapshot(.ok, []))
        try display.send(.terminate)
        #expect(try display.finish().status == 0)
        _ = try registry.stop()
    }

    @Test("no picture is torn between two writers' images, nor one that has been left, while the buffer moves")
    func whole() throws {
        let registry = try RunningRegistry()
        var owner = try RegistryConnection(at: registry.socket, until: limit)
        let exporters = ["vgem", "udmabuf", "heap:system"].filter(Backends.realExporters.contains)
        let images = (0..<4).map { TestImage(50 + $0) }
        let pictures = images.map(\.picture)
        var attached = try frame(&owner, images[0])
        let display = try RunningDisplay(registry, "frame", "--on", "kms:card0")
        for round in 1...12 {
            if round % 3 == 0 {
                let exporter = exporters[round / 3 % exporters.count]
                try owner.move(attached.id, from: attached.generation, to: exporter, until: limit)
                attached = try owner.map(attached.attachment, until: limit)
            }
            try owner.paint(images[round % 4], attached)
            let shown = try #require(pictures.firstIndex(of: ScreenPicture.take()), "round \(round): a torn picture")
            // The one before may be on the screen for a moment yet.
            #expect([round % 4, (round - 1) % 4].contains(shown), "round \(round): a stale picture")
            try waitForScreen(pictures[round % 4])
        }
        try display.send(.terminate)
        let run = try display.finish()
        #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
        _ = try registry.stop()
    }

    @Test("one screen, one display: the second is told who has it")
    func second() throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--image", "640x480:XR24", "--from", "vgem", "--keep").status == 0)
        let display = try RunningDisplay(registry, "frame", "--on", "kms:card0")
        let run = try registry.run("display", "frame", "--on", "kms:card0", "--frames", "1")
        #expect(run.status == 2, "\(run)")
        #expect(run.errors.contains("dmabuf-share (process \(display.processID))"), "\(run)")
        try display.send(.terminate)
        #expect(try display.finish().status == 0)
        _ = try registry.stop()
    }

    private func refusal(
        _ registry: borrowing RunningRegistry, _ node: String, _ what: String...
    ) throws -> String {
        let share = try Running(
            [Tool.path, "share", "frame", "--keep"] + what, environment: ["DMABUF_SHARE_SOCKET": registry.socket]
        ).finish()
        #expect(share.status == 0, "\(share)")
        let run = try registry.run("display", "frame", "--on", node)
        #expect(run.status == 4 && run.output.isEmpty, "\(run)")
        #expect(try registry.run("remove", "frame").status == 0)
        return run.errors
    }

    @Test("what cannot be shown is refused with the reason, and nobody's screen is touched")
    func refused() throws {
        let before = try ScreenPicture.take()
        let registry = try RunningRegistry()
        #expect(
            try refusal(registry, "kms:card0", "--image", "640x480:XB30", "--from", "vgem").contains(
                "it does not take format XB30, but "))
        #expect(
            try refusal(registry, "kms:card0", "--image", "4000x480:XR24", "--from", "vgem").contains(
                "4000 pixels wide"))
        #expect(
            try refusal(registry, "kms:card0", "--size", "1M", "--from", "vgem").contains("it takes images, and "))
        #expect(
            try refusal(registry, "kms:card0", "--image", "640x480:XR24", "--from", "memfd").contains(
                "a memfd is no dma-buf"))
        #expect(
            try refusal(registry, "kms:card2", "--image", "640x480:XR24", "--from", "vgem").contains("blob resources"))
        #expect(
            try refusal(registry, "kms:card0", "--image", "100x100:XR24", "--from", "vgem").contains(
                "make the image one of "))
        #expect(try ScreenPicture.take() == before)
        _ = try registry.stop()
    }
}

extension TestImage {
    /// Without the bracket that waits for others.
    fileprivate func write(into buffer: DescribedBuffer) throws {
        let plane = try #require(buffer.description.image).planes[0]
        let file = try buffer.memory[0].duplicateDescriptor()
        var mapping = try MemoryMapping(file, byteCount: Int(buffer.memory[0].byteCount), writable: true)
        mapping.withMutableBytes { paint(&$0, Int(plane.offset), Int(plane.stride)) }
    }
}
