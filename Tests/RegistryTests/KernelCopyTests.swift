// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

/// A graphics processor that copies between registered buffers: in the guest, Mesa's of the CPU.
@Suite("copy on a GPU", .leavesNoDescriptor, .requires("vulkan:0", "kms:card0", "vgem", "screenshot"))
struct KernelCopyTests {
    private let limit = Deadline.after(.seconds(240))

    @Test("a process draws, another has a GPU copy, a third shows it: the picture is what was drawn")
    func producerToScreen() throws {
        let registry = try RunningRegistry()
        var producer = try RegistryConnection(at: registry.socket, until: limit)
        let image = TestImage(31)
        // Every pair of exporters' memory is copied in one process: see the GPU's own suite.
        for exporter in ["vgem", "udmabuf"].filter(Backends.realExporters.contains) {
            let (id, _) = try producer.allocate(TestImage.request, from: exporter, name: "frame", until: limit)
            let (screen, _) = try producer.allocate(TestImage.request, from: "dumb:card0", name: "screen", until: limit)
            try producer.paint(image, producer.attach(id, AttachTerms(.readWrite), until: limit))
            let run = try registry.run("copy", "frame", "screen", "--on", "vulkan", "--within", "30", "--json")
            #expect(run.status == 0 && run.output.contains(#""by":"vulkan:0 ("#), "\(exporter): \(run)")
            let display = try RunningDisplay(registry, "screen", "--on", "kms:card0", "--within", "30")
            #expect(try ScreenPicture.take() == image.picture, "\(exporter)")
            try display.send(.terminate)
            #expect(try display.finish().status == 0)
            for buffer in [id, screen] { try producer.ask(.withdraw(buffer), until: limit) }
        }
        _ = try registry.stop()
    }

    @Test("what is on the screen follows each copy, whole")
    func follows() throws {
        let registry = try RunningRegistry()
        var producer = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try producer.allocate(TestImage.request, from: "udmabuf", name: "frame", until: limit)
        _ = try producer.allocate(TestImage.request, from: "dumb:card0", name: "screen", until: limit)
        let attached = try producer.attach(id, AttachTerms(.readWrite), until: limit)
        let display = try RunningDisplay(registry, "screen", "--on", "kms:card0", "--within", "30")
        for number in 32..<34 {
            let image = TestImage(number)
            try producer.paint(image, attached)
            let run = try registry.run("copy", "frame", "screen", "--on", "vulkan:0", "--within", "30")
            #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
            try waitForScreen(image.picture)
        }
        try display.send(.terminate)
        #expect(try display.finish().status == 0)
        _ = try registry.stop()
    }

    @Test(
        "waits for a fence of another driver's, which the registry or the kernel alone knows of",
        arguments: [true, false])
    func waits(isPromised: Bool) throws {
        let registry = try RunningRegistry()
        var producer = try RegistryConnection(at: registry.socket, until: limit)
        let (id, _) = try producer.allocate(TestImage.request, from: "vgem", name: "frame", until: limit)
        _ = try producer.allocate(TestImage.request, from: "udmabuf", name: "other", until: limit)
        let attached = try producer.attach(id, AttachTerms(.readWrite), until: limit)
        let scratch = try ScratchFence()
        if isPromised {
            try producer.promise(scratch.fence, .syncFile, attached)
        } else {
            try attached.buffer.memory[0].add(scratch.fence, as: .write)
        }
        let copy = try registry.start("copy", "frame", "other", "--on", "vulkan", "--within", "30")
        // Longer than it takes until it waits, so that one that does not would be over.
        Clock.sleep(.seconds(6))
        let isWaiting = copy.isThere
        #expect(isWaiting)
        try scratch.signal()
        let run = try copy.finish()
        #expect(run.status == 0, "\(run)")
        _ = try registry.stop()
    }

    @Test("a stand-in is refused with the reason")
    func refuses() throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--size", "4K", "--from", "memfd", "--keep").status == 0)
        #expect(try registry.run("share", "other", "--size", "4K", "--from", "vgem", "--keep").status == 0)
        let run = try registry.run("copy", "frame", "other", "--on", "vulkan")
        #expect(run.status == 4 && run.errors.contains("memfd"), "\(run)")
        _ = try registry.stop()
    }
}
